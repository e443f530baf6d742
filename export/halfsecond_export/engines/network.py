"""The ONNX network that an engine is built from: its files, its inputs, and their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfsecond.artifact import MANIFEST_NAME, Artifact, Profile, Tensor, verified_artifact
from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.store.hashes import sha256_of

_EXTERNAL_BYTES = 1_500_000_000
"""From this size on weights are written beside a network: protobuf ends at 2 GB."""


@dataclass(frozen=True)
class Source:
    """An ONNX file, and the manifest of the artifact that it belongs to, where it has one."""

    path: Path
    manifest: Artifact | None = None


def find_source(given: Path) -> Source:
    """The network that a path names: an ONNX file, or the directory of an exported one.

    Raises:
        ModelMissingError: there is none.
        ConfigError: the directory holds several.
        ModelCorruptError, UnsupportedModelError: as `verified_artifact`, where there is a manifest.
    """
    given = given.expanduser().absolute()
    directory = given if given.is_dir() else given.parent
    if given.is_dir():
        networks = sorted(given.glob("*.onnx"))
        if len(networks) > 1:
            names = ", ".join(path.name for path in networks)
            raise ConfigError(f"{given} holds several networks; name one of {names}")
        if not networks:
            raise ModelMissingError(f"no ONNX network in {given}; `halfsecond export` makes one")
        given = networks[0]
    if not given.is_file():
        raise ModelMissingError(f"there is no file {given}; expected an ONNX network")
    if not (directory / MANIFEST_NAME).is_file():
        return Source(given)
    manifest = verified_artifact(directory)
    return Source(given, manifest if given.name in manifest.files else None)


def load_network(path: Path) -> Any:
    """The ONNX model with its weights. Raises ModelCorruptError for what is no valid network."""
    import onnx

    try:
        onnx.checker.check_model(str(path))
        return onnx.load(str(path))
    except Exception as error:  # protobuf's own error has no public, typed name
        raise ModelCorruptError(
            f"{path} is no valid ONNX network, it is cut off or damaged ({_first_line(error)}); "
            "export it again"
        ) from error


def source_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of an ONNX file and of every file that its weights lie in, by name beside it.

    Raises ModelMissingError for weights that are not there.
    """
    import onnx
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # as in `load_network`
        raise ModelCorruptError(
            f"{path} is no ONNX network ({_first_line(error)}); export it again"
        ) from error
    names = {path.name}
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(names):
        if not (path.parent / name).is_file():
            raise ModelMissingError(
                f"{path.name} keeps weights in {name}, which is not beside it; copy both"
            )
    return {name: sha256_of(path.parent / name) for name in sorted(names)}


def save_network(model: Any, path: Path) -> None:
    """Writes a network, its weights beside it where they are too large for one file."""
    import onnx

    is_large = model.ByteSize() > _EXTERNAL_BYTES
    onnx.save_model(model, str(path), save_as_external_data=is_large, location=path.name + ".data")


def network_inputs(model: Any) -> tuple[Tensor, ...]:
    """What a network wants to be given; a text is the name of a size that varies."""
    from onnx import helper

    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(
        Tensor(
            name=value.name,
            dtype=str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
            shape=tuple(
                size.dim_value if size.HasField("dim_value") else size.dim_param or "?"
                for size in value.type.tensor_type.shape.dim
            ),
        )
        for value in model.graph.input
        if value.name not in weights
    )


def chosen_profiles(
    inputs: Sequence[Tensor],
    *sources: Mapping[str, Profile],
    sizes: Mapping[str, tuple[int, int, int]] | None = None,
) -> dict[str, Profile]:
    """The shapes to build for, for every input with a size that varies.

    sources: shapes by input; an earlier one goes before a later one.
    sizes: smallest, typical and largest by the name of a size, for inputs without a shape.

    Raises ConfigError for an input without, one that does not fit, or one that is not there.
    """
    names = [tensor.name for tensor in inputs]
    for name in sources[0] if sources else ():
        if name not in names:
            raise ConfigError(f"the network has no input {name!r}; it has {', '.join(names)}")
    chosen = {}
    for tensor in inputs:
        found = next((given[tensor.name] for given in sources if tensor.name in given), None)
        varying = [size for size in tensor.shape if isinstance(size, str)]
        if found is None and not varying:
            continue
        if found is None and sizes and set(varying) <= set(sizes):
            found = _sized(tensor, sizes)
        if found is None:
            found_shape = "x".join(str(size) for size in tensor.shape)
            raise ConfigError(
                f"{tensor.name} is {found_shape}: say the smallest, typical and largest shape, as "
                f"in --profile {tensor.name}={_example(tensor)}"
            )
        _check_profile(tensor, found)
        chosen[tensor.name] = found
    return chosen


def _sized(tensor: Tensor, sizes: Mapping[str, tuple[int, int, int]]) -> Profile:
    smallest, typical, largest = (
        tuple(sizes[size][which] if isinstance(size, str) else size for size in tensor.shape)
        for which in range(3)
    )
    return Profile(smallest=smallest, typical=typical, largest=largest)


def parse_profile(text: str) -> tuple[str, Profile]:
    """An input and its shapes from "mel=1x80x16:5x80x16:8x80x16". Raises ConfigError."""
    name, _, shapes = text.rpartition("=")
    try:
        smallest, typical, largest = (
            tuple(int(size) for size in shape.split("x")) for shape in shapes.split(":")
        )
    except ValueError as error:
        raise ConfigError(
            f"--profile {text!r}: expected INPUT=SMALLEST:TYPICAL:LARGEST, "
            "as in mel=1x80x16:5x80x16:8x80x16"
        ) from error
    return name, Profile(smallest=smallest, typical=typical, largest=largest)


def format_profile(name: str, profile: Profile) -> str:
    """What `parse_profile` reads."""
    shapes = (profile.smallest, profile.typical, profile.largest)
    return f"{name}=" + ":".join("x".join(map(str, shape)) for shape in shapes)


def _check_profile(tensor: Tensor, profile: Profile) -> None:
    shapes = (profile.smallest, profile.typical, profile.largest)
    expected = "x".join(str(size) for size in tensor.shape)
    for shape in shapes:
        if len(shape) != len(tensor.shape) or any(
            isinstance(wanted, int) and wanted != size
            for size, wanted in zip(shape, tensor.shape, strict=True)
        ):
            raise ConfigError(f"{tensor.name} is {expected}; {'x'.join(map(str, shape))} is not")
    for smallest, typical, largest in zip(*shapes, strict=True):
        if not 0 <= smallest <= typical <= largest:
            raise ConfigError(
                f"the shapes of {tensor.name} must grow from smallest to largest: "
                f"{smallest}, {typical}, {largest}"
            )


def _example(tensor: Tensor) -> str:
    shapes = (
        "x".join(str(size) if isinstance(size, int) else varying for size in tensor.shape)
        for varying in ("1", "4", "8")
    )
    return ":".join(shapes)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
