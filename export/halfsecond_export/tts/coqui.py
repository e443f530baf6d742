"""A VITS or YourTTS of Coqui (checkpoint and config.json), as front and back in ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.models.tts.vits_config import VitsConfig
from halfsecond_export.json_file import read_json
from halfsecond_export.torch_file import load_weights
from halfsecond_export.tts.checkpoint import load_vits
from halfsecond_export.tts.layout import Layout
from halfsecond_export.tts.symbols import symbols_of
from halfsecond_export.tts.tracing import TracedReference, trace_back, trace_front
from halfsecond_export.tts.voice_source import VoiceSource
from halfsecond_export.voice.coqui import NAME as SPEAKER_ENCODER

CONFIG_NAME = "config.json"
_CHECKPOINTS = ("*.pth", "*.pth.tar")
_PLAIN = ("no_cleaners", "basic_cleaners", "transliteration_cleaners", "basic_german_cleaners")
_REPLACED = {";": ",", ":": ",", "-": " ", **dict.fromkeys('<>()[]"', "")}
"""What all of Coqui's other cleaners do to punctuation, before a voice ever sees it."""
_KEEPING_CASE = ("no_cleaners", "phoneme_cleaners", "multilingual_phoneme_cleaners")


def open_coqui(path: Path) -> VoiceSource:
    """The voice of a checkpoint with its config.json beside it, or of a directory with both.

    Raises ModelMissingError, ModelCorruptError and UnsupportedModelError.
    """
    checkpoint = _checkpoint(path)
    config_path = checkpoint.with_name(CONFIG_NAME)
    if not config_path.is_file():
        raise ModelMissingError(
            f"{checkpoint.name} has no {CONFIG_NAME} beside it, which holds its sizes and symbols; "
            "copy both"
        )
    config = read_json(config_path)
    network = load_vits(checkpoint, config, config_name=str(config_path))
    layout = network.layout
    return VoiceSource(
        config=_voice_config(config, layout, config_path, checkpoint),
        front=trace_front(network),
        back=trace_back(network),
        reference=TracedReference(network),
        files=(checkpoint, config_path),
        family="YourTTS" if layout.has_voiceprint else "Coqui VITS",
    )


def _checkpoint(path: Path) -> Path:
    if not path.is_dir():
        if path.is_file():
            return path
        raise ModelMissingError(f"there is no {path}; give Coqui's model.pth")
    # A speaker encoder and a table of speakers may lie beside the voice.
    found = sorted(
        file
        for pattern in _CHECKPOINTS
        for file in path.glob(pattern)
        if not file.name.startswith(("model_se", "speaker", "d_vector"))
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelMissingError(f"no checkpoint (.pth) in {path}; give the directory of one voice")
    names = ", ".join(file.name for file in found)
    raise ConfigError(f"{path} holds several checkpoints; name one of {names}")


def _voice_config(
    config: Mapping[str, Any], layout: Layout, path: Path, checkpoint: Path
) -> VitsConfig:
    symbols = symbols_of(config, rows=layout.symbols, source=str(path))
    arguments: Mapping[str, Any] = config.get("model_args") or {}
    blank: tuple[int, ...] = ()
    if config.get("add_blank", True):
        if symbols.blank is None:
            raise ModelCorruptError(f"{path} wants blanks between its symbols and names none")
        blank = (symbols.blank,)
    has_ends = bool(config.get("enable_eos_bos_chars"))
    start = (symbols.start,) if has_ends and symbols.start is not None else ()
    end = (symbols.end,) if has_ends and symbols.end is not None else ()
    languages = _languages(config, layout, path)
    cleaner = str(config.get("text_cleaner") or "no_cleaners")
    try:
        return VitsConfig(
            name=str(config.get("run_name") or path.parent.name or checkpoint.stem),
            writing="espeak" if config.get("use_phonemes") else "graphemes",
            language=str(config.get("phoneme_language") or (languages or ("en",))[0]),
            sample_rate_hz=int(config["audio"]["sample_rate"]),
            hop_samples=0,
            latent_channels=0,
            context_frames=0,
            symbols={symbol: (number,) for symbol, number in symbols.numbers.items()},
            start=(*start, *blank),
            between=blank,
            end=end,
            is_lowercase=cleaner not in _KEEPING_CASE,
            replaced={} if cleaner in _PLAIN else _REPLACED,
            languages=languages,
            speakers=_speakers(arguments, layout, path),
            voiceprint_size=layout.speaker_size if layout.has_voiceprint else 0,
            voiceprint_encoder=SPEAKER_ENCODER if layout.has_voiceprint else "",
            has_duration_noise=layout.is_stochastic,
            noise_scale=float(arguments.get("inference_noise_scale", 0.667)),
            length_scale=float(arguments.get("length_scale", 1.0)),
            duration_noise_scale=float(arguments.get("inference_noise_scale_dp", 1.0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelCorruptError(
            f"{path} lacks what a voice says of itself ({error!r}); take the one that was "
            "published with the checkpoint"
        ) from error


def _languages(config: Mapping[str, Any], layout: Layout, path: Path) -> tuple[str, ...]:
    """The names of the languages by number, of the file that the config names or its data sets."""
    if not layout.languages:
        return ()
    arguments: Mapping[str, Any] = config.get("model_args") or {}
    named = arguments.get("language_ids_file") or config.get("language_ids_file")
    beside = path.with_name(Path(str(named or "language_ids.json")).name)
    if beside.is_file():
        return _by_number(read_json(beside), layout.languages, beside)
    listed = {str(each.get("language")) for each in config.get("datasets") or () if each}
    names = tuple(str(each) for each in config.get("languages") or sorted(listed))
    if len(names) != layout.languages:
        raise ModelMissingError(
            f"the checkpoint knows {layout.languages} languages, and their names are not there; "
            f"copy {beside.name} beside {path.name}"
        )
    return names


def _speakers(arguments: Mapping[str, Any], layout: Layout, path: Path) -> tuple[str, ...]:
    """The names of the speakers by number; numbers where no file beside the config names them."""
    if not layout.speakers:
        return ()
    named = str(arguments.get("speakers_file") or "speaker_ids.json")
    beside = path.with_name(Path(named).name)
    if not beside.is_file():
        return tuple(str(number) for number in range(layout.speakers))
    if beside.suffix == ".json":
        return _by_number(read_json(beside), layout.speakers, beside)
    return _by_number(load_weights(beside, example="speakers.pth"), layout.speakers, beside)


def _by_number(names: Mapping[str, Any], count: int, path: Path) -> tuple[str, ...]:
    try:
        ordered = sorted((int(number), str(name)) for name, number in names.items())
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelCorruptError(f"{path} does not give names their numbers ({error})") from error
    if [number for number, _ in ordered] != list(range(count)):
        raise ModelCorruptError(
            f"{path} names {len(ordered)} by number, the checkpoint knows {count}; take the file "
            "that was published with it"
        )
    return tuple(name for _, name in ordered)
