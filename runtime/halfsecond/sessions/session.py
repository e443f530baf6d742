"""The protocol of everything that runs a network, and what its arrays are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Tensor

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Where a network is to run: a GPU if there is one that can, the CPU, or a GPU and nothing else."""
Priority: TypeAlias = Literal["high", "low"]
"""Of a session's stream: high for what a visitor waits for by the frame, voice and lips."""
Array: TypeAlias = NDArray[Any]


@runtime_checkable
class CudaArray(Protocol):
    """Memory on the GPU, as CuPy, PyTorch, Numba and pycuda describe theirs."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


AnyArray: TypeAlias = Array | CudaArray


class Buffer(Protocol):
    """A fixed piece of memory where a session runs; the session's own, freed with it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def view(self, shape: Sequence[int]) -> AnyArray:
        """Its beginning, in a shape that is no larger; nothing is copied."""
        ...

    def paste(
        self, source: Buffer, *, shape: Sequence[int], axis: int, begin: int, end: int
    ) -> None:
        """Copies what lies at `begin` to `end` along an axis of `source.view(shape)` to the same
        place in this buffer, whose other sizes are the same."""
        ...

    def read(self, shape: Sequence[int]) -> Array:
        """What `view` holds, copied into a new array of the host."""
        ...


class Session(Protocol):
    """A network that is open. One thread at a time.

    Names are those of `inputs` and `outputs`; arrays are C-contiguous and have their types.
    """

    @property
    def inputs(self) -> tuple[Tensor, ...]: ...

    @property
    def outputs(self) -> tuple[Tensor, ...]: ...

    @property
    def runs_on(self) -> str:
        """The provider of ONNX Runtime, or the TensorRT library, that has the network."""
        ...

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """The outputs of these names, all of them by default, in new arrays of the host."""
        ...

    def bind(self, arrays: Mapping[str, AnyArray]) -> None:
        """Gives inputs and outputs a memory for all runs to come, which is used where it lies.

        An input and an output may share one. Each run reads and writes what is there then. The
        arrays must live as long as the session. Arrays of a GPU need a session that runs on it.
        """
        ...

    def run_into(self, inputs: Mapping[str, AnyArray], outputs: Mapping[str, AnyArray]) -> None:
        """Runs with these arrays and those that are bound; returns when all of them are written.

        Outputs must have the shape that the network gives.
        """
        ...

    def launch(
        self, inputs: Mapping[str, CudaArray], outputs: Mapping[str, CudaArray], *, stream: int
    ) -> None:
        """Queues a run behind what a CUDA stream has to do, and returns at once.

        stream: the raw handle of a CUstream, of whichever library made it. What is queued there
        later sees the outputs. The arrays must live until then.

        Raises UnsupportedModelError where the session runs on the CPU.
        """
        ...

    def buffer(self, shape: Sequence[int], dtype: Any) -> Buffer:
        """A fixed buffer of zeros where the session runs."""
        ...

    def close(self) -> None:
        """Frees the network and all that the session made; it cannot run afterwards."""
        ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
