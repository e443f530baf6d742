"""Which family a voice is of, and what opens it."""

from __future__ import annotations

from pathlib import Path

from halfsecond.errors import ModelMissingError, UnsupportedModelError
from halfsecond_export.tts.voice_source import VoiceSource

_KOKORO_INPUTS = frozenset({"style", "speed"})


def open_voice_source(path: Path) -> VoiceSource:
    """A Piper voice (`.onnx`), or a Coqui VITS or YourTTS (`.pth`, or the directory that holds it).

    Raises ModelMissingError, ModelCorruptError and UnsupportedModelError.
    """
    path = path.expanduser()
    if not path.exists():
        raise ModelMissingError(
            f"there is no {path}; give Piper's NAME.onnx, Coqui's model.pth, or its directory"
        )
    network = _only_network(path)
    if network is None:
        from halfsecond_export.tts.coqui import open_coqui

        return open_coqui(path)
    _refuse_kokoro(network)
    from halfsecond_export.tts.piper import open_piper

    return open_piper(network)


def _only_network(path: Path) -> Path | None:
    """The ONNX file that a path names or holds; None where it holds a checkpoint."""
    if path.suffix == ".onnx":
        return path
    found = sorted(path.glob("*.onnx")) if path.is_dir() else []
    return found[0] if len(found) == 1 else None


def _refuse_kokoro(path: Path) -> None:
    """Kokoro's decoder normalises each channel over the whole utterance (AdaIN)."""
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception:  # what is no network is refused with its cause where it is read in earnest
        return
    if not {value.name for value in graph.input} >= _KOKORO_INPUTS:
        return
    raise UnsupportedModelError(
        f"{path} is a Kokoro. It cannot be cut: its decoder normalises over the whole utterance "
        "(instance normalisation), so that windows would not sound like the whole. The runtime "
        'takes it uncut, with tts.model = "kokoro"'
    )
