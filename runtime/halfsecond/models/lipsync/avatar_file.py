"""An avatar as a directory: the picture, what is drawn of it, its resting face, and a manifest.

`halfsecond export avatar` writes it; everything is hashed when it is opened, and no array is
unpickled.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import is_directory_name, verified_artifact
from halfsecond.errors import ConfigError, ModelCorruptError, UnsupportedModelError
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.avatar import Avatar, IdleLoop
from halfsecond.models.lipsync.body import Body

KIND = "avatar"
LAYOUT = 1
"""Of the arrays: raised when a field of what is kept changes. Other layouts are refused."""
PICTURE, ARRAYS, IDLE, BODY = "portrait.png", "face.npz", "idle.msgpack", "body.msgpack"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEPT_APART = {"portrait", "name", "idle", "body"}

T = TypeVar("T")


def avatars_folder(home: Path) -> Path:
    """Where the avatars of a store are installed, a directory each."""
    return home / "artifacts" / "avatar"


def avatar_directory(avatar: str, home: Path) -> Path:
    """Where an avatar lies: a path if it has a slash, otherwise the name of an installed one.

    Raises:
        ConfigError: it is neither.
    """
    if is_directory_name(avatar):
        return Path(avatar).expanduser()
    if not NAME.fullmatch(avatar):
        raise ConfigError(
            f"{avatar!r} is no name of an avatar: letters, digits, `-`, `_` and `.`, 64 at most"
        )
    directory = avatars_folder(home) / avatar
    if not directory.is_dir():
        there = ", ".join(installed_avatars(home)) or "none"
        raise ConfigError(
            f"there is no avatar {avatar!r} in {directory.parent} (there: {there}); "
            f"`halfsecond export avatar PHOTO --name {avatar}` makes it"
        )
    return directory


def installed_avatars(home: Path) -> list[str]:
    """The names of the avatars of a store."""
    found = avatars_folder(home).glob("*/artifact.json")
    return sorted(path.parent.name for path in found if NAME.fullmatch(path.parent.name))


def write_avatar(directory: Path, avatar: Avatar) -> None:
    """Writes the files of an avatar, without a manifest."""
    import cv2

    is_encoded, png = cv2.imencode(".png", avatar.portrait.image[:, :, ::-1])
    if not is_encoded:
        raise ModelCorruptError(f"OpenCV could not encode {avatar.portrait.image.shape}")
    (directory / PICTURE).write_bytes(png.tobytes())
    arrays = {"landmarks": avatar.portrait.landmarks, **_arrays_of(avatar, "", _KEPT_APART)}
    with (directory / ARRAYS).open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    if avatar.idle is not None:
        (directory / IDLE).write_bytes(msgspec.msgpack.encode(avatar.idle))
    if avatar.body is not None:
        (directory / BODY).write_bytes(msgspec.msgpack.encode(avatar.body))


def pack_avatar(avatar: Avatar) -> bytes:
    """A photo's avatar for another process of this version: all but its name and its idle loop."""
    packed = io.BytesIO()
    arrays = {
        "image": avatar.portrait.image,
        "landmarks": avatar.portrait.landmarks,
        **_arrays_of(avatar, "", _KEPT_APART),
    }
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def unpack_avatar(data: bytes) -> Avatar:
    """The avatar, without a name; raises ModelCorruptError for what `pack_avatar` did not make."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        portrait = Portrait(arrays["image"], arrays["landmarks"])
        return _restored(Avatar, arrays, "", portrait=portrait, name="", idle=None, body=None)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ModelCorruptError(f"these bytes are no avatar of this version ({error!r})") from error


def read_avatar(directory: Path) -> Avatar:
    """The avatar that a directory holds.

    Raises:
        ModelMissingError, ModelCorruptError: it is not there, or not what was written.
        ConfigError: it is an artifact of another kind.
        UnsupportedModelError: another version of halfsecond wrote it.
    """
    artifact = verified_artifact(directory)
    if artifact.kind != KIND:
        raise ConfigError(f"{directory} holds a {artifact.kind}, expected an {KIND}")
    if artifact.details.get("layout") != LAYOUT:
        raise UnsupportedModelError(
            f"{directory} has layout {artifact.details.get('layout')}, this version of halfsecond "
            f"reads {LAYOUT}; make it again: {artifact.rebuild}"
        )
    try:
        return _read(directory, name=str(artifact.details.get("name", directory.name)))
    except (OSError, KeyError, ValueError, TypeError, msgspec.DecodeError) as error:
        raise ModelCorruptError(
            f"{directory} cannot be read ({error!r}); make it again: {artifact.rebuild}"
        ) from error


def _read(directory: Path, *, name: str) -> Avatar:
    import cv2

    picture = cv2.imread(str(directory / PICTURE), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{PICTURE} is no picture")
    with np.load(directory / ARRAYS, allow_pickle=False) as file:
        arrays = dict(file)
    image = np.ascontiguousarray(picture[:, :, ::-1])
    return _restored(
        Avatar,
        arrays,
        "",
        portrait=Portrait(np.asarray(image, np.uint8), arrays["landmarks"]),
        name=name,
        idle=_unpacked(directory / IDLE, IdleLoop),
        body=_unpacked(directory / BODY, Body),
    )


def _unpacked(path: Path, kind: type[T]) -> T | None:
    return msgspec.msgpack.decode(path.read_bytes(), type=kind) if path.exists() else None


def _arrays_of(data: Any, prefix: str, left_out: set[str]) -> dict[str, NDArray[Any]]:
    """Every field of a dataclass, by its name with dots; of tuples of dataclasses, by number."""
    found: dict[str, NDArray[Any]] = {}
    for field in dataclasses.fields(data):
        if field.name in left_out:
            continue
        value, name = getattr(data, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            found |= _arrays_of(value, f"{name}.", set())
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            found[name] = np.array(len(value))
            for number, item in enumerate(value):
                found |= _arrays_of(item, f"{name}.{number}.", set())
        else:
            found[name] = np.asarray(value)
    return found


def _restored(kind: type[T], arrays: dict[str, NDArray[Any]], prefix: str, **given: Any) -> T:
    """The dataclass whose fields `_arrays_of` gave."""
    hints = get_type_hints(kind)
    values = dict(given)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in values:
            values[field.name] = _value(hints[field.name], arrays, f"{prefix}{field.name}")
    return kind(**values)


def _value(hint: Any, arrays: dict[str, NDArray[Any]], name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _restored(hint, arrays, f"{name}.")  # type: ignore[arg-type]
    array = arrays[name]
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if dataclasses.is_dataclass(inner):
            return tuple(
                _restored(inner, arrays, f"{name}.{number}.")  # type: ignore[arg-type]
                for number in range(int(array))
            )
        return tuple(array.tolist())
    if hint in (int, float, bool):
        return hint(array)
    return array
