"""Opening a network where it runs best: TensorRT, then CUDA, then the CPU, and saying which.

What an engine or a file is for is in its manifest. A file without one has no shapes for TensorRT's
provider, which would compile anew for every shape that it meets: CUDA is the first there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import structlog

from halfsecond.artifact import (
    MANIFEST_NAME,
    Artifact,
    Profile,
    read_artifact,
    verified_artifact,
)
from halfsecond.engine_library import LIBRARIES
from halfsecond.errors import (
    ConfigError,
    GpuError,
    HalfsecondError,
    ModelCorruptError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.sessions.cuda import INSTALL, Cuda, Stream, open_cuda
from halfsecond.sessions.onnx_file import CpuSession, CudaSession
from halfsecond.sessions.onnx_runtime import (
    CPU,
    CUDA,
    TENSORRT,
    inference_session,
    load_onnxruntime,
)
from halfsecond.sessions.session import Device, Priority, Session
from halfsecond.sessions.tensorrt import EngineSession

log = structlog.get_logger(__name__)

OpenCuda = Callable[[], Cuda]
Profiles = dict[str, Profile]

_TENSORRT_FILE = "libnvinfer.so.10"
"""What ONNX Runtime's provider loads, in all releases of the `gpu` extra."""


_PASSED_OVER = (
    NoGpuError,
    GpuError,
    ConfigError,
    UnsupportedModelError,
    # ONNX Runtime says the same of a GPU without room and of a broken file: the CPU tells which.
    ModelCorruptError,
)


def open_session(
    path: Path,
    *,
    threads: int = 1,
    device: Device = "cpu",
    priority: Priority = "low",
    is_graphed: bool = False,
    open_gpu: OpenCuda = open_cuda,
) -> Session:
    """The network of an ONNX file, or of the artifact in a directory.

    threads: of the CPU. device: "auto" takes what there is, in the order of this module, and logs
    what it passed over. is_graphed: the same shapes come again and again, so that an engine may
    replay them as a CUDA graph.

    Raises:
        ModelError: the file or artifact is missing, corrupt, rejected, or an engine of another
            machine; the message has the command that makes it again.
        ConfigError: "cpu" for an engine; a library that is not installed.
        NoGpuError: "cuda" or an engine, and there is no GPU that can be used.
    """
    opening = _Opening(threads, device, priority, is_graphed, open_gpu)
    if not path.is_dir():
        return opening.open(path, {} if device == "cpu" else _profiles_beside(path))
    artifact = read_artifact(path)
    if artifact.runtime in LIBRARIES:
        if device == "cpu":
            raise ConfigError(
                f"{path} is an engine for {artifact.runtime} and runs on a GPU alone; name its "
                'ONNX file, or set device = "auto"'
            )
        session = EngineSession(path, priority=priority, is_graphed=is_graphed, open_gpu=open_gpu)
        _log(path, session.runs_on, ())
        return session
    return opening.open(network_file(path, verified_artifact(path)), artifact.profiles)


def network_file(directory: Path, artifact: Artifact) -> Path:
    """The ONNX file of an artifact for ONNX Runtime. Raises UnsupportedModelError."""
    files = [name for name in artifact.files if name.endswith(".onnx")]
    if artifact.runtime != "onnxruntime" or len(files) != 1:
        raise UnsupportedModelError(
            f"{directory} holds {artifact.kind} for {artifact.runtime} in {len(files)} ONNX files; "
            "expected one ONNX file, or an engine"
        )
    return directory / files[0]


def _profiles_beside(path: Path) -> Profiles:
    if not (path.parent / MANIFEST_NAME).is_file():
        return {}
    return read_artifact(path.parent).profiles


@dataclass(frozen=True)
class _Opening:
    """What `open_session` was asked for."""

    threads: int
    device: Device
    priority: Priority
    is_graphed: bool
    open_gpu: OpenCuda

    def open(self, path: Path, profiles: Profiles) -> Session:
        """The file on the first provider that takes it."""
        passed_over: list[str] = []
        for provider in _wanted(self.device):
            try:
                session = self._on_gpu(path, provider, profiles)
            except _PASSED_OVER as error:
                passed_over.append(f"{provider}: {error}")
                continue
            _log(path, session.runs_on, passed_over)
            return session
        if self.device == "cuda":
            raise NoGpuError(
                f'{path.name} was to run on a GPU (device = "cuda"), and none can be used: '
                f"{'; '.join(passed_over) or f'ONNX Runtime has no {CUDA} here; {INSTALL}'}"
            )
        _log(path, CPU, passed_over)
        return CpuSession(inference_session(path, threads=self.threads, providers=[(CPU, {})]))

    def _on_gpu(self, path: Path, provider: str, profiles: Profiles) -> Session:
        if provider == TENSORRT:
            _check_tensorrt(profiles)
        cuda = self.open_gpu()
        stream: Stream | None = None
        try:
            stream = cuda.stream(self.priority)
            _preload_libraries()
            if self.is_graphed and provider == CUDA:
                session = self._graphed(path, cuda, stream)
                if session is not None:
                    return session
            return self._plain(path, provider, profiles, cuda, stream)
        except HalfsecondError:
            if stream is not None:
                stream.close()
            cuda.close()
            raise

    def _plain(
        self, path: Path, provider: str, profiles: Profiles, cuda: Cuda, stream: Stream
    ) -> Session:
        providers = [(CUDA, _cuda_options(cuda, stream)), (CPU, {})]
        if provider == TENSORRT:
            providers.insert(0, (TENSORRT, _tensorrt_options(cuda, stream, profiles)))
        session = inference_session(path, threads=self.threads, providers=providers)
        runs_on: str = session.get_providers()[0]
        if runs_on != provider:
            raise NoGpuError(f"ONNX Runtime could not load it and took {runs_on}")
        return CudaSession(session, cuda, stream, runs_on=provider)

    def _graphed(self, path: Path, cuda: Cuda, stream: Stream) -> Session | None:
        """None where a part of the network has to stay on the CPU: then there is no graph."""
        options = _cuda_options(cuda, stream) | {"enable_cuda_graph": "1"}
        try:
            session = inference_session(path, threads=self.threads, providers=[(CUDA, options)])
        except ModelCorruptError:
            return None
        if session.get_providers()[0] != CUDA:
            return None
        return CudaSession(session, cuda, stream, runs_on=CUDA, is_graphed=True)


def _wanted(device: Device) -> Iterator[str]:
    if device != "cpu":
        available = load_onnxruntime().get_available_providers()
        yield from (name for name in (TENSORRT, CUDA) if name in available)


def _log(path: Path, runs_on: str, passed_over: Sequence[str]) -> None:
    """One line a session, where there was anything but the CPU to choose from."""
    if passed_over or runs_on != CPU:
        log.info("session", network=path.name, runs_on=runs_on, passed_over=list(passed_over))


def _check_tensorrt(profiles: Profiles) -> None:
    """Whether TensorRT's provider could run without surprises. Raises UnsupportedModelError."""
    if not profiles:
        raise UnsupportedModelError("the file has no manifest with the shapes to compile for")
    try:
        load_library(_TENSORRT_FILE)
    except OSError as error:
        raise UnsupportedModelError(f"{_TENSORRT_FILE} is not installed") from error


def load_library(name: str) -> object:
    """Loads a shared library. Raises OSError."""
    return ctypes.CDLL(name)


def _preload_libraries() -> None:
    """Loads CUDA and cuDNN from their wheels, where ONNX Runtime knows how (1.21 and later)."""
    preload = getattr(load_onnxruntime(), "preload_dlls", None)
    if preload is not None:
        preload()


def _cuda_options(cuda: Cuda, stream: Stream) -> dict[str, str]:
    return {
        "device_id": str(cuda.index),
        "user_compute_stream": str(stream.handle),
        # Grows by what is asked for: doubling would take memory that other engines need.
        "arena_extend_strategy": "kSameAsRequested",
        # One short trial of cuDNN's algorithms for each new shape; "EXHAUSTIVE" takes seconds.
        "cudnn_conv_algo_search": "HEURISTIC",
    }


def _tensorrt_options(cuda: Cuda, stream: Stream, profiles: Profiles) -> dict[str, str]:
    cache = Path(platformdirs.user_cache_dir("halfsecond")) / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    return {
        "device_id": str(cuda.index),
        "user_compute_stream": str(stream.handle),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        **{
            f"trt_profile_{size}_shapes": ",".join(
                f"{name}:{'x'.join(map(str, getattr(profile, part)))}"
                for name, profile in profiles.items()
            )
            for size, part in (("min", "smallest"), ("opt", "typical"), ("max", "largest"))
        },
    }
