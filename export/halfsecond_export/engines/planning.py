"""What is to be built, and its manifest and key as far as they are known beforehand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from halfsecond.artifact import Artifact, Precision, Profile
from halfsecond.engine import engine_key
from halfsecond.engine_library import EngineLibrary, cuda_major_of
from halfsecond.errors import ConfigError
from halfsecond.gpu import Gpu
from halfsecond_export.engines.adapters import ADAPTERS
from halfsecond_export.engines.network import (
    Source,
    chosen_profiles,
    load_network,
    network_inputs,
    source_hashes,
)
from halfsecond_export.engines.passes.cut import cut
from halfsecond_export.engines.recipes import find_recipe
from halfsecond_export.engines.rewriting import REVISION


@dataclass(frozen=True)
class BuildRequest:
    """What to build. `name` is the engine's directory in `folder`; "" makes one of the network's.

    precision: None for what the network's manifest says, or fp16.
    capabilities: to build for, all that the library knows when empty (tensorrt_rtx).
    profiles: by input; those of the network's manifest and of the recipe fill up.
    keeps_io: inputs and outputs stay float32 in an fp16 engine.
    workspace_bytes: scratch memory on the GPU, 0 for no limit.
    is_compared: the rewritten network is held against its source (`comparing`).
    is_forced: builds although the engine is there.
    """

    source: Path
    folder: Path
    library: EngineLibrary = "tensorrt_rtx"
    precision: Precision | None = None
    name: str = ""
    recipe: str = ""
    capabilities: tuple[str, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict[str, Profile])
    cut_inputs: tuple[str, ...] = ()
    cut_outputs: tuple[str, ...] = ()
    keeps_io: bool = True
    workspace_bytes: int = 0
    is_compared: bool = True
    is_forced: bool = False

    def cuts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where the network is cut, by the options or by the recipe: inputs, outputs."""
        recipe = find_recipe(self.recipe)
        return self.cut_inputs or recipe.cut_inputs, self.cut_outputs or recipe.cut_outputs


def plan(
    request: BuildRequest, source: Source, library: Any, gpu: Gpu | None, rebuild: Sequence[str]
) -> Artifact:
    """The manifest without files and measures, its key with it.

    Raises ConfigError and ModelError for a request that cannot be built.
    """
    made_with = _rewriting_libraries()
    recipe = find_recipe(request.recipe)
    targets = ADAPTERS[request.library].targets(library, request.capabilities, gpu)
    sources = source_hashes(source.path)
    exported = source.manifest
    cut_inputs, cut_outputs = request.cuts()
    planned = Artifact(
        kind=request.recipe or (exported.kind if exported else source.path.stem),
        precision=request.precision or (exported.precision if exported else "fp16"),
        runtime=request.library,
        sources=sources,
        files={},
        libraries={request.library: str(library.__version__), **made_with},
        rebuild=shlex.join(rebuild),
        profiles=chosen_profiles(
            network_inputs(read_network(request, source)),
            request.profiles,
            exported.profiles if exported else {},
            recipe.profiles,
            sizes=recipe.sizes,
        ),
        compute_capabilities=targets.compute_capabilities,
        device=targets.device,
        source_path=str(source.path),
        cuda_major=cuda_major_of(request.library, gpu),
        flags={
            "passes": REVISION,
            "cut": f"{','.join(cut_inputs)}->{','.join(cut_outputs)}",
            "io": "float32" if request.keeps_io else "as the network",
            "workspace_bytes": str(request.workspace_bytes),
        },
    )
    return msgspec.structs.replace(planned, key=engine_key(planned))


def read_network(request: BuildRequest, source: Source) -> Any:
    """The ONNX model of a request, cut where it says."""
    model = load_network(source.path)
    inputs, outputs = request.cuts()
    return cut(model, inputs, outputs) if inputs or outputs else model


def _rewriting_libraries() -> dict[str, str]:
    """Versions of what the passes use. Raises ConfigError where it is not installed."""
    try:
        return {name: version(name) for name in ("onnx", "onnxruntime")}
    except PackageNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed; pip install 'halfsecond[prepare]' brings it"
        ) from error
