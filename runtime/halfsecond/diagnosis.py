"""What `halfsecond doctor` finds out: by running things, not by asking whether they are listed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from halfsecond import __version__
from halfsecond.bus import sockets
from halfsecond.config import Config
from halfsecond.errors import HalfsecondError, NoGpuError
from halfsecond.gpu import this_gpu
from halfsecond.memory_budget import available_mb, fitted
from halfsecond.models.echo.registry import open_canceller
from halfsecond.placements import running_networks
from halfsecond.stages.engines import STAGES, model_directory, open_store
from halfsecond.thermal import hottest, read_zones

Verdict = Literal["ok", "warning", "error"]

CLASHING = (
    ("onnxruntime", "onnxruntime-gpu"),
    ("opencv-python", "opencv-python-headless"),
)
"""Distributions that overwrite each other's files when both are installed."""
LEAST_MEMORY_GB = 2.0
LEAST_DISK_MB = 500.0
"""The largest default model has 240 MB, and its preparation needs it twice."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(config: Config) -> list[Finding]:
    """Looks at everything a server with this config needs. Takes a second or two."""
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _versions,
        _clashes,
        _processor,
        _gpu,
        _memory,
        _temperature,
        _onnxruntime,
        _ctranslate2,
        _models,
        _networks,
        _address,
        _echo,
        _microphone,
        _gateway,
        _lips,
        _disk,
    )
    return [finding for check in checks for finding in check(config)]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _versions(_: Config) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("halfsecond", "ok", f"{__version__} on Python {python}, {platform.machine()}")


def _clashes(_: Config) -> Iterator[Finding]:
    for names in CLASHING:
        present = [name for name in names if _installed(name)]
        if len(present) > 1:
            yield Finding(
                "packages",
                "error",
                f"{' and '.join(present)} overwrite each other",
                f"pip uninstall -y {' '.join(present)}, then install one extra: cpu, gpu or rtx",
            )


def _processor(_: Config) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    memory_gb = _memory_gb()
    found = f"{cores} cores, {memory_gb:.1f} GB of memory available"
    if memory_gb < LEAST_MEMORY_GB:
        yield Finding("machine", "warning", found, "free memory, or choose smaller models")
    else:
        yield Finding("machine", "ok", found)


def _memory(config: Config) -> Iterator[Finding]:
    """Whether the models fit, and what the server would take instead."""
    try:
        fit = fitted(config, open_store(config), available_mb=available_mb())
    except HalfsecondError:
        return  # a model that is unknown or broken has a finding of its own
    found = "; ".join([*fit.notes, f"{fit.needed_mb} MB are needed"])
    if not fit.does_fit:
        remedy = "free memory, or choose smaller models (`halfsecond models list`)"
        yield Finding("memory", "warning", f"{found} beside the reserve", remedy)
    elif fit.notes:
        yield Finding("memory", "warning", found, "free memory, or choose these models yourself")
    else:
        yield Finding("memory", "ok", found)


def _temperature(config: Config) -> Iterator[Finding]:
    """Of the hottest part; nothing where the machine shows none."""
    zone = hottest(read_zones())
    if zone is None:
        return
    found = f"{zone.name}: {zone.temperature_c:.0f} °C, slows down at {zone.limit_c:.0f} °C"
    is_cool = zone.headroom_c >= config.thermal.margin_c
    remedy = "" if is_cool else "give the machine air, or a lower power mode"
    yield Finding("temperature", "ok" if is_cool else "warning", found, remedy)


def _memory_gb() -> float:
    """MemAvailable of Linux: what can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024**2
    return 0.0


def _gpu(_: Config) -> Iterator[Finding]:
    try:
        gpu = this_gpu()
    except NoGpuError as error:
        yield Finding("gpu", "ok", f"{error}; all runs on the CPU")
        return
    found = f"{gpu.name}, compute capability {gpu.compute_capability}, CUDA {gpu.cuda_major}"
    yield Finding("gpu", "ok", found)


def _onnxruntime(_: Config) -> Iterator[Finding]:
    """Runs one real model on each provider: a listed provider may fall back in silence."""
    try:
        import onnxruntime as ort
    except ImportError:
        yield Finding("onnxruntime", "error", "not installed", "pip install 'halfsecond[cpu]'")
        return
    for provider in ort.get_available_providers():
        if provider not in ("CPUExecutionProvider", "CUDAExecutionProvider"):
            continue
        ran = _ran_on(provider)
        verdict: Verdict = "ok" if ran == provider else "warning"
        remedy = "" if ran == provider else "check the driver and the CUDA libraries"
        found = f"{ort.__version__}: asked for {provider}, {ran} ran"
        yield Finding("onnxruntime", verdict, found, remedy)


# The smallest ONNX model: y = x + x, float32[2], opset 13, 65 bytes.
_ADD_MODEL = bytes.fromhex(
    "080712003a350a0e0a01780a017812017922034164641201615a0f0a0178120a0a08080112040a02"
    "0802620f0a0179120a0a08080112040a02080242040a00100d"
)


def _ran_on(provider: str) -> str:
    import onnxruntime as ort

    try:
        session = ort.InferenceSession(_ADD_MODEL, providers=[provider])
        session.run(None, {"x": np.ones(2, np.float32)})
    except Exception as error:
        return f"nothing ({error})"
    ran: str = session.get_providers()[0]
    return ran


def _ctranslate2(_: Config) -> Iterator[Finding]:
    import ctranslate2

    devices = ctranslate2.get_cuda_device_count()
    types = ", ".join(sorted(ctranslate2.get_supported_compute_types("cpu")))
    found = f"{ctranslate2.__version__}: {devices} CUDA devices; on the CPU {types}"
    yield Finding("ctranslate2", "ok", found)


def _models(config: Config) -> Iterator[Finding]:
    try:
        store = open_store(config)
    except HalfsecondError as error:
        yield Finding("models", "error", str(error))
        return
    for stage in STAGES:
        section = "face" if stage == "lipsync" else stage
        name = getattr(config, section).model
        if getattr(config.stages, stage) != "local" or not name:
            continue
        if stage == "llm" and config.llm.kind != "local":
            yield Finding("llm", "ok", f"{config.llm.kind}: {config.llm.model}")
            continue
        if stage == "endpoint" and config.endpoint.mode == "silence":
            yield Finding("endpoint", "ok", f"{config.endpoint.silence_s:g} s of silence")
            continue
        try:
            yield Finding(stage, "ok", f"{name} in {model_directory(stage, name, store)}")
        except HalfsecondError as error:
            yield Finding(stage, "error", str(error), f"halfsecond models fetch {name}")


def _networks(config: Config) -> Iterator[Finding]:
    """What runs each network: nodes by provider, as ONNX Runtime assigned them."""
    try:
        store = open_store(config)
    except HalfsecondError:
        return
    for network in running_networks(config, store):
        yield Finding(
            f"{network.stage} runs",
            "warning" if network.is_fallen else "ok",
            f"{network.network}: {network.runs_on}",
            "see docs/gpu.md, or set the stage's device" if network.is_fallen else "",
        )


def _address(config: Config) -> Iterator[Finding]:
    bind = config.server.bind
    if not sockets.is_private(bind) and not config.server.keys:
        yield Finding("address", "error", f"{bind} is open to others", "run `halfsecond keys`")
    else:
        yield Finding("address", "ok", bind)


def _echo(config: Config) -> Iterator[Finding]:
    try:
        name = open_canceller(config.echo.kind).name
    except HalfsecondError as error:
        yield Finding("echo", "error", str(error), "pip install 'halfsecond[aec]'")
        return
    if config.echo.kind == "auto" and name == "none":
        found = "no canceller is installed: the microphone must not hear the answer"
        yield Finding("echo", "warning", found, "pip install 'halfsecond[aec]'")
    else:
        yield Finding("echo", "ok", name)


def _gateway(config: Config) -> Iterator[Finding]:
    """The browser's way in, where its extra is installed."""
    try:
        from halfsecond.gateway.diagnosis import examine_gateway
    except ImportError as error:
        found = f"browsers cannot be served ({error})"
        yield Finding("gateway", "warning", found, "pip install 'halfsecond[gateway]'")
        return
    yield from examine_gateway(config, clock=time.time)


def _lips(config: Config) -> Iterator[Finding]:
    from halfsecond.lips_diagnosis import examine_lips  # which wants `Finding`

    yield from examine_lips(config)


def _disk(config: Config) -> Iterator[Finding]:
    """A full disk stops logs, fetches and engine builds, and shows in none of them plainly."""
    try:
        home = open_store(config).home
    except HalfsecondError:  # which `_models` tells
        return
    while not home.exists():
        home = home.parent
    free_mb = shutil.disk_usage(home).free / 1e6
    found = f"{free_mb / 1000:.1f} GB free where {home} lies"
    if free_mb < LEAST_DISK_MB:
        yield Finding("disk", "error", found, "journalctl --vacuum-size=200M, or remove files")
    else:
        yield Finding("disk", "ok", found)


def _microphone(_: Config) -> Iterator[Finding]:
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]

        inputs = [d["name"] for d in sounddevice.query_devices() if d["max_input_channels"]]
    except (ImportError, OSError) as error:
        yield Finding(
            "microphone",
            "warning",
            f"none can be opened here ({error}); clients bring their own",
            "pip install 'halfsecond[mic]' and apt install libportaudio2",
        )
        return
    verdict: Verdict = "ok" if inputs else "warning"
    yield Finding(
        "microphone", verdict, ", ".join(inputs) or "none", "" if inputs else "plug one in"
    )
