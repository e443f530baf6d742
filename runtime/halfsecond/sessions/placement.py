"""Which provider of ONNX Runtime takes which part of a network: asked, not guessed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from halfsecond.errors import ModelCorruptError
from halfsecond.sessions.onnx_runtime import CPU, CUDA, inference_session, load_onnxruntime
from halfsecond.sessions.session import Device

_RECORD = ("session.record_ep_graph_assignment_info", "1")


@dataclass(frozen=True)
class Placement:
    """Nodes of a network by provider, after ONNX Runtime has assigned them.

    Empty where this release does not tell (before 1.24): then `first` is the provider that it lists
    first, and says nothing about the nodes that provider leaves to the CPU.
    """

    first: str
    nodes: dict[str, int]

    def __str__(self) -> str:
        if not self.nodes:
            return f"{self.first} listed first; this ONNX Runtime does not tell which nodes it has"
        parts = [f"{count} nodes on {provider}" for provider, count in self.nodes.items()]
        return ", ".join(parts)


def placement(path: Path, *, device: Device) -> Placement:
    """Opens the network where it would run, and tells what of it would run there.

    Raises ModelMissingError or ModelCorruptError.
    """
    has_gpu = device != "cpu" and CUDA in load_onnxruntime().get_available_providers()
    providers: list[tuple[str, dict[str, str]]] = [(CUDA, {})] if has_gpu else []
    providers.append((CPU, {}))
    try:
        session = inference_session(path, threads=1, providers=providers, entries=[_RECORD])
        listed: list[str] = session.get_providers()
    except ModelCorruptError:
        # A provider whose libraries are missing may fail instead of being left out.
        if not has_gpu:
            raise
        return placement(path, device="cpu")
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    if tell is None:
        return Placement(listed[0], {})
    nodes: Counter[str] = Counter()
    for part in tell():
        nodes[part.ep_name] += len(part.get_nodes())
    return Placement(listed[0], dict(nodes.most_common()))
