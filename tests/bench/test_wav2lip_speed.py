from __future__ import annotations

from itertools import count
from pathlib import Path

from halfsecond_bench.wav2lip_speed import measure
from halfsecond_export.wav2lip.untrained import write_untrained


def test_speed_is_reported_per_precision_threads_and_batch(tmp_path: Path) -> None:
    models = {"fp32": tmp_path / "wide.onnx", "int8": tmp_path / "narrow.onnx"}
    for path, width in zip(models.values(), (0.125, 0.0625), strict=True):
        write_untrained(path, width=width)
    ticks = count()
    report = measure(
        batches=(1, 5), threads=(1,), rounds=3, models=models, clock=lambda: next(ticks) * 0.05
    )
    assert [(c["precision"], c["threads"], c["batch"]) for c in report["cases"]] == [
        ("fp32", 1, 1),
        ("fp32", 1, 5),
        ("int8", 1, 1),
        ("int8", 1, 5),
    ]
    assert report["cases"][1]["frame_ms"] == {"p50": 10.0, "p95": 10.0, "max": 10.0, "n": 3}
    assert report["cases"][1]["fps"] == 100.0
    assert [s["times"] for s in report["speedup"]] == [1.0, 1.0]
    assert report["versions"]["onnxruntime"] and "cores" in report["device"]
