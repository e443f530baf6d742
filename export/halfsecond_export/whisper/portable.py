"""Whisper for TensorRT: encoder and decoder in ONNX's own operators, an artifact each."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import (
    Artifact,
    Check,
    Precision,
    Profile,
    Tensor,
    describe_file,
    write_artifact,
)
from halfsecond.models.asr.guards import token_cap
from halfsecond.models.asr.mel import RATE_HZ, log_mel
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.models.asr.tokens import Tokens
from halfsecond.sessions import open_session
from halfsecond.store.hashes import sha256_of
from halfsecond_export.engines.passes.fp16 import to_fp16
from halfsecond_export.formats import Progress
from halfsecond_export.prepare.onnx_whisper import (
    DECODER_NAME,
    DETAILS_NAME,
    ENCODER_NAME,
    decoder_graph,
    encoder_graph,
)
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.whisper.parity import TOLERANCES, output_checks, words_check
from halfsecond_export.whisper.portable_network import Arrays, PortableWhisper
from halfsecond_export.whisper.reference import Reference, ReferenceFiles, Request, details
from halfsecond_export.whisper.source import WhisperSource

PORTABLE: dict[str, Precision] = {"portable-fp32": "fp32", "portable-fp16": "fp16"}
"""Formats, and their precision."""

_PARTS = {"encoder": ENCODER_NAME, "decoder": DECODER_NAME}
# Frames of 10 ms: 1 s, 4 s and 30 s. New tokens: one, or a prompt in pieces of 8.
_FRAMES, _TOKENS = (100, 400, 3000), (1, 1, 8)
# A prompt, and the most that the decoder has positions for besides one.
_PAST = (0, 16, 447)
# Of what the encoder gives; float16 keeps three digits, and several layers of it two.
_RELATIVE = {"fp32": 1e-4, "fp16": 2e-2}


def export_portable(
    request: Request, files: ReferenceFiles, *, progress: Progress
) -> dict[str, Artifact]:
    """Writes `NAME/encoder` and `NAME/decoder` below `out` for each portable format of the request.

    The words are compared in Whisper's whole 30 s, so that both sides are given the same.
    """
    names = [name for name in request.formats if name in PORTABLE]
    done: dict[str, Artifact] = {}
    if not names:
        return done
    progress(0.0, "the weights in float32, to compare with")
    reference = Reference(request, files, margin_s=FULL_CONTEXT_S)
    with tempfile.TemporaryDirectory(prefix="halfsecond-whisper-") as work:
        exact = Path(work)
        write_pair(request.source, exact)
        mel = _mel(reference.recordings[0], request.source.network.mels)
        expected = _open(exact, request.threads).hear(mel)
        for at, name in enumerate(names):
            progress((at + 0.5) / (len(names) + 1), name)
            done |= _export_pair(request, name, reference, exact, expected)
    reference.close()
    progress(1.0, "")
    return done


def _export_pair(
    request: Request, name: str, reference: Reference, exact: Path, expected: Arrays
) -> dict[str, Artifact]:
    precision = PORTABLE[name]
    done = {}
    with replaced_directory(request.out / name) as directory:
        for part, file in _PARTS.items():
            shutil.copytree(exact / part, directory / part)
            if precision == "fp16":
                _halve(directory / part / file)
        checks = _compared(request, precision, directory, reference, expected)
        for part, file in _PARTS.items():
            done[f"{name}/{part}"] = _describe(request, directory / part, file, precision, checks)
    return done


def write_pair(source: WhisperSource, directory: Path) -> None:
    """Leaves float32 graphs in `encoder` and `decoder` of a directory, without a manifest."""
    network, heads = source.network, source.decoding.alignment_heads
    for part, graph in (
        ("encoder", encoder_graph(network, is_portable=True)),
        ("decoder", decoder_graph(network, heads, is_portable=True)),
    ):
        (directory / part).mkdir()
        graph.save(directory / part / _PARTS[part])
    # What the runtime needs besides the networks; engines take it along.
    (directory / "decoder" / DETAILS_NAME).write_text(
        json.dumps(source.decoding.as_config()) + "\n"
    )
    shutil.copyfile(source.tokenizer, directory / "decoder" / "tokenizer.json")


def _halve(path: Path) -> None:
    import onnx

    model = to_fp16(onnx.load(str(path)), keeps_io=False)
    data = path.with_name(path.name + ".data")
    data.unlink()
    onnx.save_model(
        model, str(path), save_as_external_data=True, location=data.name, size_threshold=1024
    )
    data.chmod(0o644)


def _compared(
    request: Request,
    precision: Precision,
    directory: Path,
    reference: Reference,
    expected: Arrays,
) -> tuple[Check, ...]:
    pair = _open(directory, request.threads)
    heard = pair.hear(_mel(reference.recordings[0], request.source.network.mels))
    checks: list[Check] = []
    for name in (min(heard), max(heard)):
        checks += output_checks(
            name, expected[name], heard[name], relative_at_most=_RELATIVE[precision]
        )
    hear = _Words(pair, request)
    checks.append(
        words_check(reference.hear, hear, reference.recordings, at_most=TOLERANCES[precision].words)
    )
    return (*checks, reference.control)


class _Words:
    """What a pair hears, greedily."""

    def __init__(self, pair: PortableWhisper, request: Request) -> None:
        self._pair = pair
        self._source = request.source
        is_multilingual = not self._source.is_english_only
        self._tokens = Tokens(self._source.tokenizer.parent, multilingual=is_multilingual)

    def __call__(self, samples: NDArray[np.float32]) -> str:
        heard = self._pair.hear(_mel(samples, self._source.network.mels))
        decoding = self._source.decoding
        tokens = self._pair.write(
            heard,
            self._tokens.prompt("en", ""),
            end=self._tokens.text_end,
            suppressed=decoding.suppressed,
            most=token_cap(len(samples)),
        )
        return self._tokens.decode(tokens)


def _open(directory: Path, threads: int) -> PortableWhisper:
    return PortableWhisper(
        directory / "encoder" / ENCODER_NAME, directory / "decoder" / DECODER_NAME, threads=threads
    )


def _mel(samples: NDArray[np.float32], mels: int) -> NDArray[np.float32]:
    padded = np.zeros(round(FULL_CONTEXT_S * RATE_HZ), np.float32)
    padded[: len(samples)] = samples
    return log_mel(padded, mels=mels)


def _describe(
    request: Request, directory: Path, file: str, precision: Precision, checks: tuple[Check, ...]
) -> Artifact:
    session = open_session(directory / file)
    inputs = session.inputs
    artifact = Artifact(
        kind=f"whisper-{directory.name}",
        precision=precision,
        runtime="onnxruntime",
        sources={path.name: sha256_of(path) for path in request.source.files},
        files={path.name: describe_file(path) for path in sorted(directory.iterdir())},
        libraries={"onnx": version("onnx")},
        rebuild=f"{request.rebuild} --format portable-{precision}",
        inputs=inputs,
        outputs=session.outputs,
        profiles={tensor.name: _profile(tensor) for tensor in inputs},
        checks=checks,
        details=details(request.source.network),
    )
    write_artifact(directory, artifact)
    return artifact


def _profile(tensor: Tensor) -> Profile:
    """The shapes of an input, by what its open size is called."""
    positions = tuple(frames // 2 for frames in _FRAMES)
    sizes = {"t": _FRAMES, "f": positions, "past": _PAST, "n": _TOKENS, "r": _TOKENS}
    shapes = [
        tuple(size if isinstance(size, int) else sizes[size][at] for size in tensor.shape)
        for at in range(3)
    ]
    return Profile(smallest=shapes[0], typical=shapes[1], largest=shapes[2])
