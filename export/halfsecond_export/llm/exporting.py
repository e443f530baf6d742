"""A language model in every form that the runtime takes, each compared with its weights."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from halfsecond.artifact import Artifact, Check
from halfsecond.errors import ConfigError
from halfsecond_export.formats import (
    CTRANSLATE2_FORMATS,
    ONNX_FORMATS,
    Format,
    Progress,
    hashes_of,
    write_manifest,
)
from halfsecond_export.llm.parity import (
    Forward,
    Reading,
    compare,
    control_check,
    damaged,
    of_ctranslate2,
    of_network,
    of_onnx,
    passages_of,
    read_passages,
)
from halfsecond_export.llm.source import LanguageModelSource
from halfsecond_export.prepare.ctranslate2_decoder import write_ctranslate2
from halfsecond_export.prepare.language_model import LanguageModel
from halfsecond_export.prepare.onnx_llm import check_onnx, write_onnx
from halfsecond_export.prepare.request import replaced_directory

KIND = "llm"
"""Of the artifact, as `[llm] model` wants it."""

CONTROL_TOKENS = 200
"""A damaged network is seen in a part of the text."""


FORMATS = {**CTRANSLATE2_FORMATS, **ONNX_FORMATS}


@dataclass(frozen=True)
class Request:
    """What to export, and where to."""

    source: LanguageModelSource
    out: Path
    text: str
    """What is compared on, paragraphs with an empty line between them."""
    formats: Sequence[str]
    rebuild: str
    """The command that does this again."""
    threads: int = 1


def export(request: Request, *, progress: Progress) -> dict[str, Artifact]:
    """Writes each format into a directory of its name below `out`; gives the manifests.

    A format that misses its tolerance is written, and its manifest says that it is rejected.

    Raises ConfigError for an unknown format or a text that is too short, and
    UnsupportedModelError for a format that cannot express the network.
    """
    if unknown := sorted(set(request.formats) - set(FORMATS)):
        raise ConfigError(
            f"there is no format {', '.join(unknown)}; there are {', '.join(FORMATS)}"
        )
    model = request.source.model
    if any(FORMATS[name].runtime == "onnxruntime" for name in request.formats):
        check_onnx(model.architecture)
    passages = passages_of(model, request.text)
    progress(0.05, "the weights in float32, to compare with")
    reference = read_passages(of_network(model.network, model.architecture), passages)
    sources = hashes_of(request.source.files)
    done: dict[str, Artifact] = {}
    for at, name in enumerate(dict.fromkeys(request.formats)):
        progress(0.2 + 0.8 * at / len(request.formats), name)
        done[name] = _export_one(request, name, sources, passages, reference)
    progress(1.0, "")
    return done


def _export_one(
    request: Request,
    name: str,
    sources: dict[str, str],
    passages: list[list[int]],
    reference: Reading,
) -> Artifact:
    form, model = FORMATS[name], request.source.model
    with replaced_directory(request.out / name) as directory:
        found = _written_and_read(model, form, directory, passages, threads=request.threads)
        return write_manifest(
            directory,
            form,
            kind=KIND,
            sources=sources,
            rebuild=f"{request.rebuild} --format {name}",
            checks=(
                *compare(reference, found, form.precision),
                _control(request, form, passages, reference),
            ),
            details={
                **{key: str(value) for key, value in model.details.items()},
                **model.architecture.details(),
                "perplexity": round(found.perplexity, 4),
                "perplexity_of_source": round(reference.perplexity, 4),
            },
        )


def _control(
    request: Request, form: Format, passages: list[list[int]], reference: Reading
) -> Check:
    """The same way with a network that is damaged, on a few passages."""
    model, few = request.source.model, _first_tokens(passages, CONTROL_TOKENS)
    broken = dataclasses.replace(model, network=damaged(model.network, model.architecture))
    with tempfile.TemporaryDirectory(prefix="halfsecond-llm-") as work:
        found = _written_and_read(broken, form, Path(work), few, threads=request.threads)
    return control_check(reference.first(len(found.surprise)), found)


def _first_tokens(passages: Sequence[list[int]], count: int) -> list[list[int]]:
    """As many passages as hold `count` tokens."""
    before = [0, *accumulate(map(len, passages))]
    return [passage for passage, at in zip(passages, before, strict=False) if at < count]


def _written_and_read(
    model: LanguageModel,
    form: Format,
    directory: Path,
    passages: Sequence[list[int]],
    *,
    threads: int,
) -> Reading:
    forward: Forward
    if form.runtime == "onnxruntime":
        write_onnx(model, directory, quantization=form.quantization)
        forward = of_onnx(directory, threads=threads)
    else:
        write_ctranslate2(model, directory, quantization=form.quantization)
        forward = of_ctranslate2(directory, compute_type=form.compute_type, threads=threads)
    return read_passages(forward, passages)
