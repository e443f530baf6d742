"""The kinds of answerers by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from halfsecond.errors import ConfigError
from halfsecond.models.ctranslate2_device import ctranslate2_device
from halfsecond.models.llm.answerer import Answerer
from halfsecond.models.llm.persona import Layout
from halfsecond.sessions import Device

_T = TypeVar("_T")

Kind = Literal["local", "openai", "function"]


def open_answerer(
    kind: Kind,
    *,
    model_path: Path | None = None,
    device: Device = "cpu",
    compute_type: str = "",
    threads: int = 1,
    stop: Sequence[str] = ("\n",),
    base_url: str = "",
    model: str = "",
    api_key_env: str = "",
    function: str = "",
) -> Answerer:
    """Opens the answerer of this kind.

    "local" takes `model_path` (a directory that `halfsecond models fetch` or `halfsecond export
    llm` made, for ONNX Runtime or for CTranslate2), `device` (ONNX Runtime's is written for the
    CPU: "auto" means that there), `threads` and `stop`, where answers end: speech
    has no paragraphs; `compute_type` is CTranslate2's, empty for what suits weights and device.
    "openai" takes `base_url`, `model` and
    `api_key_env`. "function" takes `function`.

    Raises ConfigError for what is missing, ModelError for a model that cannot be loaded.
    """
    if kind == "local":
        directory = _required(model_path, "llm.model")
        if (directory / "model.onnx").exists():
            if device == "cuda":
                raise ConfigError(
                    f"{directory.name} is written in INT8 operators of the CPU and does not run on "
                    "a GPU; take a model for CTranslate2, such as smollm2-135m-int8"
                )
            from halfsecond.models.llm.onnx_llm import OnnxAnswerer

            return OnnxAnswerer(directory, threads=threads, stop=stop)
        from halfsecond.models.llm.ctranslate2_llm import CTranslate2Answerer

        where, arithmetic = ctranslate2_device(
            directory, device, compute_type=compute_type, on_cpu="default"
        )
        return CTranslate2Answerer(
            directory,
            device=where,
            compute_type=arithmetic,
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
