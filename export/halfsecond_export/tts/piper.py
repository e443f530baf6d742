"""A Piper voice (`NAME.onnx`, `NAME.onnx.json`), cut into front and back.

Piper's own files: one ONNX graph of a whole VITS, exported by torch, and a JSON with its symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.tts.vits_config import VitsConfig
from halfsecond_export.engines.network import load_network
from halfsecond_export.engines.passes.cut import cut
from halfsecond_export.engines.passes.graph import (
    GraphIndex,
    drop_unread_inputs,
    drop_unused,
    in_order,
    redirect,
)
from halfsecond_export.engines.passes.zero_add import remove_zero_adds
from halfsecond_export.json_file import read_json
from halfsecond_export.tts.piper_graph import CutPoints, find_cut
from halfsecond_export.tts.voice_source import VoiceSource, WholeGraph

_TEXT, _LENGTHS, _SCALES, _SPEAKER = "input", "input_lengths", "scales", "sid"
_PAD, _START, _END = "_", "^", "$"
"""Piper's names for what stands between, before and after the symbols."""
_FRONT_SHAPES = {
    "mean": (1, "C", "F"),
    "spread": (1, "C", "F"),
    "durations": (1, 1, "T"),
    "speaker": (1, "S", 1),
}
_WRITINGS = {"espeak": "espeak", "text": "graphemes"}


def open_piper(path: Path) -> VoiceSource:
    """The voice at `path`, an ONNX file with its JSON beside it.

    Raises ModelMissingError, ModelCorruptError, UnsupportedModelError.
    """
    if not path.is_file():
        raise ModelMissingError(f"there is no voice {path}; give Piper's NAME.onnx")
    settings_path = path.with_name(path.name + ".json")
    if not settings_path.is_file():
        raise ModelMissingError(
            f"{path.name} has no {settings_path.name} beside it, which holds its symbols; copy both"
        )
    settings = read_json(settings_path)
    model = load_network(path)
    speaker = _check_inputs(model, path)
    points = find_cut(model, speaker_input=speaker)
    config = _config(settings, settings_path)
    _check_symbols(model, config, settings_path)
    whole = _with_noise_inputs(model, points, speaker)
    return VoiceSource(
        config=config,
        front=_front(whole, points),
        back=_back(whole, points),
        reference=WholeGraph(whole),
        files=(path, settings_path),
        family="Piper",
    )


def _check_inputs(model: Any, path: Path) -> str:
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    if set(names) not in ({_TEXT, _LENGTHS, _SCALES}, {_TEXT, _LENGTHS, _SCALES, _SPEAKER}):
        raise UnsupportedModelError(
            f"{path} takes {', '.join(names)}: no voice of Piper's, which takes {_TEXT}, "
            f"{_LENGTHS}, {_SCALES} and, with several speakers, {_SPEAKER}"
        )
    return _SPEAKER if _SPEAKER in names else ""


def _check_symbols(model: Any, config: VitsConfig, path: Path) -> None:
    """A number without a row would only be met when a visitor's sentence has its symbol."""
    index = GraphIndex(model)
    tables = [
        table
        for node in index.readers[_TEXT]
        if node.op_type == "Gather" and (table := index.constant(node.input[0])) is not None
    ]
    highest = max(max(numbers) for numbers in (*config.symbols.values(), config.start, config.end))
    if len(tables) != 1 or highest >= len(tables[0]):
        rows = len(tables[0]) if len(tables) == 1 else "no"
        raise ModelCorruptError(
            f"{path.name} numbers its symbols up to {highest}, and the network has {rows} rows for "
            "them; take the JSON that was published with the voice"
        )


def _with_noise_inputs(model: Any, points: CutPoints, speaker: str) -> Any:
    """The whole voice under our names, its random draws made inputs and its lengths computed."""
    from onnx import TensorProto, helper

    graph = model.graph
    for node in [n for n in graph.node if n.op_type == "RandomNormalLike"]:
        graph.node.remove(node)
    for value in [v for v in graph.input if v.name == _LENGTHS]:
        graph.input.remove(value)
    graph.node.insert(
        0, helper.make_node("Shape", [_TEXT], [_LENGTHS], name="lengths", start=1, end=2)
    )
    names = {_TEXT: "symbols", points.noise: "noise", points.duration_noise: "duration_noise"}
    _rename(model, names | ({speaker: "speaker_id"} if speaker else {}))
    for name, shape in (("noise", (1, "C", "F")), ("duration_noise", (1, 2, "T"))):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph.input.append(value)
    for value in graph.input:
        if value.name == "symbols":
            value.CopyFrom(helper.make_tensor_value_info("symbols", TensorProto.INT64, [1, "T"]))
    _rename(model, {graph.output[0].name: "audio"})
    return model


def _rename(model: Any, names: Mapping[str, str]) -> None:
    graph = model.graph
    # The exporter has named weights after inputs that it left out: a name that is taken gives way.
    names = {name: f"{name}.inner" for name in names.values()} | dict(names)
    for node in graph.node:
        for side in (node.input, node.output):
            for index, name in enumerate(side):
                side[index] = names.get(name, name)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)


def _front(whole: Any, points: CutPoints) -> Any:
    """Symbols to mean, spread and durations, and the speaker's vector."""
    from onnx import TensorProto, helper

    model = type(whole).FromString(whole.SerializeToString())
    graph = model.graph
    spread = points.factors[0]
    for at, factor in enumerate(points.factors[1:]):
        name = f"spread.{at}"
        graph.node.append(helper.make_node("Mul", [spread, factor], [name], name=name))
        spread = name
    del graph.output[:]
    results = {"mean": points.mean, "spread": spread, "durations": points.durations}
    if points.speaker:
        results["speaker"] = points.speaker
    taken = {name: f"{name}.inner" for name in results}
    _rename(model, taken)
    for name, source in results.items():
        inner = taken.get(source, source)
        graph.node.append(helper.make_node("Identity", [inner], [name], name=name))
        shape = _FRONT_SHAPES[name]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    drop_unused(model)
    drop_unread_inputs(model)
    return in_order(model)


def _back(whole: Any, points: CutPoints) -> Any:
    """Latent frames to samples, without the masks of a batch, which are all ones here."""
    model = type(whole).FromString(whole.SerializeToString())
    index = GraphIndex(model)
    for mask in points.masks:
        for node in index.readers[mask]:
            if node.op_type == "Mul":
                redirect(model, node.output[0], next(n for n in node.input if n != mask))
    drop_unused(model)
    inputs = [points.latent, *([points.speaker] if points.speaker else [])]
    back = cut(model, inputs, ["audio"])
    names = {points.latent: "latent"} | ({points.speaker: "speaker"} if points.speaker else {})
    _rename(back, names)
    # A batch would be one utterance; only the frames vary.
    for value in back.graph.input:
        sizes = value.type.tensor_type.shape.dim
        sizes[0].dim_value, sizes[2].dim_param = 1, "F"
        if value.name == "speaker":
            sizes[2].dim_value = 1
    back.graph.output[0].type.tensor_type.shape.dim[-1].dim_param = "S"
    remove_zero_adds(back)
    return back


def _config(settings: Mapping[str, Any], path: Path) -> VitsConfig:
    """What the JSON says, in our words; hop, channels and context are found out later."""
    writing = str(settings.get("phoneme_type", "espeak"))
    if writing not in _WRITINGS:
        raise UnsupportedModelError(
            f"{path.name} wants phonemes of kind {writing!r}; known are {', '.join(_WRITINGS)}"
        )
    try:
        symbols = {
            str(symbol): tuple(int(number) for number in numbers)
            for symbol, numbers in settings["phoneme_id_map"].items()
        }
        inference: Mapping[str, Any] = settings.get("inference", {})
        speakers = sorted(settings.get("speaker_id_map", {}).items(), key=lambda item: item[1])
        start, between, end = symbols.pop(_START), symbols.pop(_PAD), symbols.pop(_END)
        return VitsConfig(
            name=path.name.removesuffix(".onnx.json"),
            writing="espeak" if writing == "espeak" else "graphemes",
            language=str(settings["espeak"]["voice"]),
            sample_rate_hz=int(settings["audio"]["sample_rate"]),
            hop_samples=0,
            latent_channels=0,
            context_frames=0,
            symbols=symbols,
            start=(*start, *between),
            between=between,
            end=end,
            is_lowercase=writing == "text",
            is_decomposed=True,
            speakers=tuple(str(name) for name, _ in speakers),
            noise_scale=float(inference.get("noise_scale", 0.667)),
            length_scale=float(inference.get("length_scale", 1.0)),
            duration_noise_scale=float(inference.get("noise_w", 0.8)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelCorruptError(
            f"{path} lacks what a Piper voice says of itself ({error!r}); copy it again from where "
            "the voice was published"
        ) from error
