"""The kinds of answerers by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from halfsecond.errors import ConfigError
from halfsecond.models.llm.answerer import Answerer
from halfsecond.models.llm.persona import Layout

_T = TypeVar("_T")

Kind = Literal["local", "openai", "function"]


def open_answerer(
    kind: Kind,
    *,
    model_path: Path | None = None,
    device: str = "cpu",
    compute_type: str = "default",
    threads: int = 1,
    stop: Sequence[str] = ("\n",),
    base_url: str = "",
    model: str = "",
    api_key_env: str = "",
    function: str = "",
) -> Answerer:
    """Opens the answerer of this kind.

    "local" takes `model_path` (a directory that `halfsecond models fetch` or `halfsecond export
    llm` made, for ONNX Runtime or for CTranslate2), `threads` and `stop`, where answers end: speech
    has no paragraphs; `device` and `compute_type` are CTranslate2's ("default": as the weights are
    kept, where the device can compute with that). "openai" takes `base_url`, `model` and
    `api_key_env`. "function" takes `function`.

    Raises ConfigError for what is missing, ModelError for a model that cannot be loaded.
    """
    if kind == "local":
        directory = _required(model_path, "llm.model")
        if (directory / "model.onnx").exists():
            from halfsecond.models.llm.onnx_llm import OnnxAnswerer

            return OnnxAnswerer(directory, threads=threads, stop=stop)
        from halfsecond.models.llm.ctranslate2_llm import CTranslate2Answerer

        return CTranslate2Answerer(
            directory,
            device=device,
            compute_type=compute_type,
            threads=threads,
            stop=stop,
        )
    if kind == "openai":
        from halfsecond.models.llm.openai_compatible import OpenAiAnswerer

        return OpenAiAnswerer(
            _required(base_url, "llm.base_url"),
            model=_required(model, "llm.model"),
            api_key_env=api_key_env,
        )
    if kind == "function":
        from halfsecond.models.llm.function import FunctionAnswerer

        return FunctionAnswerer(_required(function, "llm.function"))
    raise ConfigError(f"llm.kind is {kind!r}; it must be local, openai or function")


def default_layout(kind: Kind) -> Layout:
    """How a persona puts its facts to this kind: the local default is too small for a page."""
    return "lines" if kind == "local" else "page"


def _required(value: _T | None, key: str) -> _T:
    if not value:
        raise ConfigError(f"{key} is not set; this kind of answerer needs it")
    return value
