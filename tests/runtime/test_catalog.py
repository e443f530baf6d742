"""The catalog: what it accepts, and that the one that ships is well-formed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halfsecond.catalog import (
    Catalog,
    HubFile,
    JoinedParts,
    ModelEntry,
    NpmMember,
    OwnFile,
    UrlFile,
    WheelMember,
    checkout_engines,
    default_catalog,
    default_catalog_path,
    load_catalog,
)
from halfsecond.errors import ConfigError

SHIPPED = default_catalog()
ENTRIES = pytest.mark.parametrize(
    ("name", "entry"), SHIPPED.models.items(), ids=list(SHIPPED.models)
)

MODEL = """
[models.m]
title = "M"
stage = "asr"
licence = "MIT"
licence_url = "https://example.org"

[[models.m.files]]
path = "model.bin"
size_bytes = 5
sha256 = "{sha256}"
sources = [{{ kind = "url", url = "https://example.org/model.bin" }}]
"""


def write_catalog(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(text.format(sha256="0" * 64), encoding="utf-8")
    return path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_catalog(write_catalog(tmp_path, text))
    return str(caught.value)


@ENTRIES
def test_every_shipped_entry_names_its_licence(name: str, entry: ModelEntry) -> None:
    assert re.fullmatch(r"(LicenseRef-)?[A-Za-z0-9.-]+", entry.licence)
    assert entry.licence_url.startswith("https://")
    assert entry.title
    assert entry.notice


@ENTRIES
def test_every_shipped_file_is_pinned_unless_the_user_brings_it(
    name: str, entry: ModelEntry
) -> None:
    for file in entry.files:
        if file.sources == (OwnFile(),):
            assert entry.needs_acceptance
            continue
        assert file.sha256 is not None
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size_bytes is not None
        assert file.size_bytes > 0


@ENTRIES
def test_every_shipped_package_is_pinned_to_a_version(name: str, entry: ModelEntry) -> None:
    for file in entry.files:
        for source in file.sources:
            for part in source.parts if isinstance(source, JoinedParts) else (source,):
                if isinstance(part, (WheelMember, NpmMember)):
                    assert re.fullmatch(r"\d+(\.\d+)+", part.version)
                elif isinstance(part, HubFile) and not entry.is_tested:
                    assert re.fullmatch("[0-9a-f]{40}", part.revision)
                elif isinstance(part, UrlFile):
                    assert part.url.startswith("https://")


def test_the_profile_of_the_tests_needs_no_model_hub() -> None:
    for name in SHIPPED.expand(["all-tests", "cpu-en"]):
        assert SHIPPED.entry(name).is_tested
        for file in SHIPPED.entry(name).files:
            assert not isinstance(file.sources[0], (HubFile, UrlFile, OwnFile))


def test_no_shipped_default_needs_a_licence_to_be_accepted() -> None:
    for profile in SHIPPED.profiles:
        assert not any(SHIPPED.entry(name).needs_acceptance for name in SHIPPED.expand([profile]))


def test_names_and_profiles_expand_to_each_model_once() -> None:
    assert SHIPPED.expand(["hibari", "cpu-en", "hibari"])[:3] == [
        "hibari",
        "silero-vad",
        "smart-turn",
    ]
    assert len(SHIPPED.expand(["cpu-en", "all-tests"])) == 11


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'whisper-huge'.*whisper-tiny\.en"):
        SHIPPED.entry("whisper-huge")
    with pytest.raises(ConfigError, match=r"'cpu-fr'.*silero-vad.*profiles: all-tests, cpu-en"):
        SHIPPED.expand(["cpu-fr"])


def test_a_catalog_of_ones_own_can_be_named(tmp_path: Path) -> None:
    path = write_catalog(tmp_path, MODEL)
    assert default_catalog_path({"HALFSECOND_CATALOG": str(path)}) == path
    assert isinstance(load_catalog(path), Catalog)


def test_the_catalog_of_a_wheel_lies_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages/halfsecond"
    package.mkdir(parents=True)
    with pytest.raises(ConfigError, match="reinstall halfsecond"):
        default_catalog_path({}, package)
    (package / "models.toml").touch()
    assert default_catalog_path({}, package) == package / "models.toml"
    assert checkout_engines(package) is None


def test_the_catalog_of_a_checkout_lies_in_engines(tmp_path: Path) -> None:
    package = tmp_path / "runtime/halfsecond"
    package.mkdir(parents=True)
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines/models.toml").touch()
    assert default_catalog_path({}, package) == tmp_path / "engines/models.toml"
    assert checkout_engines(package) == tmp_path / "engines"


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        ('title = "M"', 'titel = "M"', "models: m: unknown key 'titel' (did you mean 'title'?)"),
        ('path = "model.bin"', 'name = "model.bin"', "files[0]: unknown key 'name'; valid keys: p"),
        (
            ", url = ",
            ", uri = ",
            "sources[0]: unknown key 'uri' (did you mean 'url'?); valid keys: k",
        ),
        ('kind = "url"', 'kind = "ftp"', "'ftp'"),
        ('stage = "asr"', 'stage = "ears"', "'ears'"),
        ('licence = "MIT"', "", "required field `licence`"),
        ("size_bytes = 5", "", "model.bin: has no size_bytes"),
        ("size_bytes = 5", "size_bytes = -5", "model.bin: size_bytes must be positive"),
        ('sha256 = "{sha256}"', "", "model.bin: has no sha256; only a file of the user's own"),
        ("{sha256}", "abc", "sha256 must be 64 lower-case hex digits, found 'abc'"),
        ('"model.bin"', '"../model.bin"', "must lie inside the model's directory"),
        ('"model.bin"', '"/model.bin"', "must lie inside the model's directory"),
        ('"model.bin"', '"manifest.json"', "not be manifest.json"),
        ("models.m", 'models."M/.."', "a name is lower-case letters"),
    ],
)
def test_a_wrong_entry_is_refused_with_the_place_and_the_reason(
    found: str, replacement: str, message: str, tmp_path: Path
) -> None:
    assert message in refusal(tmp_path, MODEL.replace(found, replacement))


def test_an_unknown_key_at_the_top_lists_the_valid_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[profile]\n" + MODEL)
    assert (
        "unknown key 'profile' (did you mean 'profiles'?); valid keys: models, profiles" in message
    )


def test_a_profile_with_an_unknown_model_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, '[profiles]\np = ["n"]\n' + MODEL)
    assert "profiles: p: unknown model 'n'; models: m" in message


def test_two_files_at_one_place_are_refused(tmp_path: Path) -> None:
    second = MODEL[MODEL.index("[[models.m.files]]") :]
    assert "two files have the same path" in refusal(tmp_path, MODEL + second)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    assert "not valid TOML" in refusal(tmp_path, "models =")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_catalog(tmp_path / "nothing.toml")
