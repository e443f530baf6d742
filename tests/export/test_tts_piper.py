"""Piper's voices, cut by structure: small ones with random weights and names that tell nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes.voices import CHANNELS, HOP, SYMBOLS, piper_voice, whole_graph
from halfsecond.artifact import Artifact, read_artifact, verified_artifact
from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.models.tts.vits_config import read_config
from halfsecond_export.cli import app
from halfsecond_export.engines.comparing import run_network
from halfsecond_export.engines.network import find_source, network_inputs
from halfsecond_export.tts import exporting
from halfsecond_export.tts.exporting import Request, export
from halfsecond_export.tts.parity import damaged
from halfsecond_export.tts.piper import open_piper
from halfsecond_export.tts.piper_graph import find_cut
from halfsecond_export.tts.receptive_field import receptive_field
from halfsecond_export.tts.source import open_voice_source
from halfsecond_export.tts.voice_source import VoiceSource

SENTENCES = ("hello there, who are you?", "a quick brown fox jumps over it.")


def request_for(source: VoiceSource, out: Path, **settings: Any) -> Request:
    return Request(
        source=source, out=out, rebuild="halfsecond export tts x", sentences=SENTENCES, **settings
    )


def feeds(*, speaker: int = 0) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(1)
    symbols = rng.integers(3, len(SYMBOLS), (1, 25))
    return {
        "symbols": symbols,
        "scales": np.array([0.5, 1.0, 0.6], np.float32),
        "duration_noise": rng.standard_normal((1, 2, 25), np.float32),
        "speaker_id": np.array([speaker], np.int64),
    }


@pytest.mark.parametrize("has_speakers", [False, True])
def test_the_two_halves_say_what_the_whole_says(tmp_path: Path, has_speakers: bool) -> None:
    source = open_piper(piper_voice(tmp_path, has_speakers=has_speakers))
    for speaker in (0, 2) if has_speakers else (0,):
        given = feeds(speaker=speaker)
        halves = run_network(source.front.SerializeToString(), given)
        assert halves is not None
        noise = np.random.default_rng(2).standard_normal(halves["mean"].shape, np.float32)
        taken = {"latent": halves["mean"] + noise * halves["spread"]}
        taken |= {"speaker": halves["speaker"]} if has_speakers else {}
        joined = run_network(source.back.SerializeToString(), taken)
        assert joined is not None
        whole = source.reference.sound(given | {"noise": noise})
        np.testing.assert_allclose(joined["audio"].reshape(-1), whole, atol=1e-6)
        assert len(whole) == HOP * halves["durations"].sum()


def test_the_back_takes_frames_and_the_speaker_and_has_no_mask_and_no_zeros(
    tmp_path: Path,
) -> None:
    back = open_piper(piper_voice(tmp_path, has_speakers=True)).back
    assert [(t.name, t.shape) for t in network_inputs(back)] == [
        ("latent", (1, CHANNELS, "F")),
        ("speaker", (1, 6, 1)),
    ]
    kinds = {node.op_type for node in back.graph.node}
    assert not kinds & {"ConstantOfShape", "Cast", "Range", "Gather", "RandomNormalLike"}
    onnx.checker.check_model(back, full_check=True)


def test_the_speakers_differ(tmp_path: Path) -> None:
    source = open_piper(piper_voice(tmp_path, has_speakers=True))
    made = [run_network(source.front.SerializeToString(), feeds(speaker=s)) for s in (0, 1)]
    assert made[0] is not None and made[1] is not None
    assert np.abs(made[0]["speaker"] - made[1]["speaker"]).max() > 0.1


def _without(graph: Any, kind: str) -> Any:
    """The graph with nodes of a kind passed by."""
    for node in [each for each in graph.graph.node if each.op_type == kind]:
        node.op_type = "Identity"
        del node.input[1:]
    return graph


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("RandomNormalLike", "0 random draws, of which 0 become mean"),
        ("Ceil", "0 tensors are rounded up"),
    ],
)
def test_a_graph_that_is_no_vits_is_refused_with_what_was_not_found(kind: str, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        find_cut(_without(whole_graph(), kind))


def test_what_crosses_the_cut_and_is_no_mask_is_refused_by_name() -> None:
    model = whole_graph()
    points = find_cut(model)
    reader = next(n for n in model.graph.node if points.masks[0] in n.input)
    reader.op_type = "Sub"
    with pytest.raises(UnsupportedModelError, match=r"Sub 'n.*' behind the latent frames reads"):
        find_cut(model)


def test_the_reach_of_the_back_is_what_a_disturbance_shows(tmp_path: Path) -> None:
    back = open_piper(piper_voice(tmp_path)).back
    reach = receptive_field(back)
    assert reach.steps_per_frame == HOP
    quiet = np.zeros((1, CHANNELS, 60), np.float32)
    loud = quiet.copy()
    loud[:, :, 30] = 1.0
    network = back.SerializeToString()
    one, other = (run_network(network, {"latent": latent}) for latent in (quiet, loud))
    assert one is not None and other is not None
    changed = np.flatnonzero(np.abs(one["audio"] - other["audio"]).reshape(-1)) / HOP
    assert 30 - reach.frames <= changed.min() and changed.max() <= 31 + reach.frames
    # It is no wild guess either: all but a frame or two of it is reached.
    assert changed.min() < 32 - reach.frames and changed.max() > 29 + reach.frames


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("voice")
    source = open_piper(piper_voice(folder / "source"))
    return export(request_for(source, folder / "out"))


def test_both_precisions_are_written_compared_and_usable(exported: dict[str, Artifact]) -> None:
    assert list(exported) == ["fp32", "fp16"]
    for precision, artifact in exported.items():
        assert not artifact.is_rejected, artifact.missed
        assert artifact.precision == precision
        assert set(artifact.files) == {"front.onnx", "back.onnx", "voice.json"}
        assert artifact.rebuild == f"halfsecond export tts x --precision {precision}"
        profile = artifact.profiles["latent"]
        assert profile.smallest[2] < profile.typical[2] < profile.largest[2]
        checks = {check.what: check for check in artifact.checks}
        assert checks["source against cut"].value > (100 if precision == "fp32" else 40)
        assert checks["worst seam of windows"].value > 40
        assert checks["control: source against a damaged layer"].value < 20
    sizes = [artifact.files["back.onnx"].size_bytes for artifact in exported.values()]
    assert sizes[1] < 0.8 * sizes[0]


def test_engines_are_built_from_the_directory_as_it_is(tmp_path: Path) -> None:
    source = open_piper(piper_voice(tmp_path / "source"))
    export(request_for(source, tmp_path / "out", precisions=("fp16",)))
    found = find_source(tmp_path / "out" / "fp16" / "back.onnx")
    assert found.manifest is not None and found.manifest.precision == "fp16"
    assert set(found.manifest.profiles) == {"latent"}
    assert read_config(tmp_path / "out" / "fp16").hop_samples == HOP


def test_a_back_that_says_something_else_is_rejected_and_not_opened(tmp_path: Path) -> None:
    source = open_piper(piper_voice(tmp_path / "source"))
    wrong = VoiceSource(
        config=source.config,
        front=source.front,
        back=damaged(source.back),
        reference=source.reference,
        files=source.files,
        family=source.family,
    )
    artifact = export(request_for(wrong, tmp_path / "out", precisions=("fp32",)))["fp32"]
    assert "source against cut" in [check.what for check in artifact.missed]
    with pytest.raises(UnsupportedModelError, match="was rejected: source against cut"):
        verified_artifact(tmp_path / "out" / "fp32")


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_the_old_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    source = open_piper(piper_voice(tmp_path / "source"))
    export(request_for(source, tmp_path / "out", precisions=("fp32",)))
    before = {p.name: p.read_bytes() for p in (tmp_path / "out" / "fp32").iterdir()}

    def fails(*_: object) -> None:
        raise fault

    monkeypatch.setattr(exporting, "write_artifact", fails)
    with pytest.raises(type(fault)):
        export(request_for(source, tmp_path / "out", precisions=("fp32",)))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "fp32").iterdir()} == before
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["fp32"]


def test_sentences_that_the_voice_cannot_spell_are_refused(tmp_path: Path) -> None:
    source = open_piper(piper_voice(tmp_path / "source"))
    request = Request(source=source, out=tmp_path / "out", rebuild="", sentences=("привет",))
    with pytest.raises(ConfigError, match="does not know the symbols в е и п р т"):
        export(request)
    with pytest.raises(ConfigError, match="no precision int8; there are fp32, fp16"):
        export(request_for(source, tmp_path / "out", precisions=("int8",)))


def test_a_voice_of_a_language_that_nothing_reads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = piper_voice(tmp_path, phoneme_type="espeak", espeak={"voice": "de"})
    with pytest.raises(UnsupportedModelError, match="phonemes of 'de'"):
        export(request_for(open_piper(path), tmp_path / "out"))


def _edit(path: Path, **settings: Any) -> None:
    beside = path.with_name(path.name + ".json")
    beside.write_text(json.dumps(json.loads(beside.read_text("utf-8")) | settings), "utf-8")


def test_a_json_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = piper_voice(tmp_path)
    _edit(path, phoneme_id_map={"_": [0], "^": [1], "$": [2], "a": [700]})
    with pytest.raises(ModelCorruptError, match="symbols up to 700, and the network has 64 rows"):
        open_piper(path)
    _edit(path, phoneme_id_map={"a": [3]})
    with pytest.raises(ModelCorruptError, match="lacks what a Piper voice says of itself"):
        open_piper(path)
    _edit(path, phoneme_type="pinyin")
    with pytest.raises(UnsupportedModelError, match="phonemes of kind 'pinyin'"):
        open_piper(path)
    path.with_name(path.name + ".json").write_text("{", "utf-8")
    with pytest.raises(ModelCorruptError, match="cannot be read"):
        open_piper(path)
    path.with_name(path.name + ".json").unlink()
    with pytest.raises(ModelMissingError, match="which holds its symbols; copy both"):
        open_piper(path)
    path.write_bytes(path.read_bytes()[:3000])
    piper_voice(tmp_path / "other").with_name("en_US-small.onnx.json").rename(
        path.with_name(path.name + ".json")
    )
    with pytest.raises(ModelCorruptError, match="cut off or damaged"):
        open_piper(path)


def _network(path: Path, inputs: list[str]) -> Path:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in inputs]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", [inputs[0]], ["y"])
    onnx.save_model(helper.make_model(helper.make_graph([node], "g", values, [out])), str(path))
    path.with_name(path.name + ".json").write_text("{}", "utf-8")
    return path


def test_other_networks_are_refused_for_what_they_are(tmp_path: Path) -> None:
    kokoro = _network(tmp_path / "kokoro.onnx", ["tokens", "style", "speed"])
    with pytest.raises(UnsupportedModelError, match="normalises over the whole utterance"):
        open_voice_source(kokoro)
    lips = _network(tmp_path / "lips.onnx", ["mel", "faces"])
    with pytest.raises(UnsupportedModelError, match="takes mel, faces: no voice of Piper's"):
        open_voice_source(lips)
    with pytest.raises(ModelMissingError, match=r"give Piper's NAME\.onnx"):
        open_voice_source(tmp_path / "nothing")


def test_the_command_writes_and_reports(tmp_path: Path) -> None:
    path = piper_voice(tmp_path / "source")
    (tmp_path / "text").write_text("\n".join(SENTENCES), "utf-8")
    arguments = ["tts", str(path), "--out", str(tmp_path / "out"), "--text", str(tmp_path / "text")]
    arguments += ["--precision", "fp32", "--home", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["fp32"]["is_rejected"] is False
    artifact = read_artifact(tmp_path / "out" / "fp32")
    assert artifact.details["words"] == "not compared: no Whisper"
    assert str(path) in artifact.rebuild and artifact.rebuild.endswith("--precision fp32")
