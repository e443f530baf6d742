"""Loading: only directories whose every file is the one that was verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.store import Store
from halfsecond.store.fetching import ModelFetcher
from halfsecond.store.hashes import HashRecord
from halfsecond.store.shelf import default_home

WEIGHTS = bytes(range(256)) * 16


@pytest.fixture
def store(stores: Any, file_server: Any) -> Store:
    made = stores.model(
        "m",
        stores.file("model.bin", WEIGHTS, file_server.add("model.bin", WEIGHTS)),
        stores.file("words/v.txt", b"a b", file_server.add("v.txt", b"a b")),
    )
    ModelFetcher(made).fetch(["m"])
    assert isinstance(made, Store)
    return made


def test_a_tampered_file_is_named_with_both_hashes(store: Store) -> None:
    weights = store.path("m") / "model.bin"
    weights.write_bytes(WEIGHTS[:-1] + b"!")
    expected = store.catalog.entry("m").files[0].sha256
    with pytest.raises(ModelCorruptError, match=f"model.bin has sha256 .*, expected {expected}"):
        store.path("m")
    assert [condition.state for condition in store.verify()] == ["corrupt"]


def test_tampering_is_seen_when_size_and_time_are_put_back(store: Store) -> None:
    weights = store.path("m") / "model.bin"
    before = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"!")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelCorruptError, match=r"model\.bin has sha256"):
        store.path("m")


def test_a_second_look_reads_no_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.path("m")
    read: list[Path] = []
    monkeypatch.setattr("halfsecond.store.hashes.sha256_of", read.append)
    store.path("m")
    assert read == []


def test_verify_reads_every_file_whatever_the_record_says(store: Store) -> None:
    weights = store.path("m") / "model.bin"
    with weights.open("r+b") as file:
        file.write(b"!")
    path = store.work_dir / "hashes.json"
    record = msgspec.json.decode(path.read_bytes())
    found = weights.stat()
    known = record[str(weights)]
    known.update(mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)
    path.write_bytes(msgspec.json.encode(record))
    assert store.path("m")  # Rot on the disk changes no times: this is what verify is for.
    [condition] = store.verify(["m"])
    assert condition.state == "corrupt"
    assert "model.bin has sha256" in condition.detail


def test_a_truncated_file_is_refused(store: Store) -> None:
    os.truncate(store.path("m") / "model.bin", 100)
    with pytest.raises(ModelCorruptError, match=r"model\.bin has 100 bytes, expected 4096"):
        store.path("m")


def test_a_file_that_is_gone_is_named(store: Store) -> None:
    (store.path("m") / "words/v.txt").unlink()
    with pytest.raises(ModelCorruptError, match=r"words/v\.txt is gone"):
        store.path("m")


def test_a_file_that_nobody_listed_is_refused(store: Store) -> None:
    (store.path("m") / "vocabulary.json").write_text("[]")
    with pytest.raises(ModelCorruptError, match=r"vocabulary\.json does not belong there"):
        store.path("m")


def test_a_directory_without_a_manifest_is_not_a_model(store: Store) -> None:
    (store.path("m") / "manifest.json").unlink()
    with pytest.raises(ModelMissingError, match="run `halfsecond models fetch m`"):
        store.path("m")


def test_a_manifest_cut_in_half_is_corrupt(store: Store) -> None:
    os.truncate(store.path("m") / "manifest.json", 50)
    with pytest.raises(ModelCorruptError, match=r"manifest\.json cannot be read"):
        store.path("m")


def test_a_forged_manifest_does_not_outweigh_the_catalog(store: Store) -> None:
    directory = store.path("m")
    (directory / "model.bin").write_bytes(b"!" * len(WEIGHTS))
    forged = HashRecord(directory / "none.json").sha256(directory / "model.bin")
    pinned = store.catalog.entry("m").files[0].sha256
    assert pinned is not None
    manifest = (directory / "manifest.json").read_text().replace(pinned, forged)
    # Only the hash of the file is forged; what it was made from still reads as the catalog's.
    manifest = manifest.replace(f'"model.bin": "{forged}"', f'"model.bin": "{pinned}"')
    (directory / "manifest.json").write_text(manifest)
    with pytest.raises(ModelCorruptError, match=f"model.bin has sha256 {forged}"):
        store.path("m")


def test_a_model_of_an_older_catalog_is_outdated(store: Store, stores: Any) -> None:
    newer = stores.model(
        "m", stores.file("model.bin", b"new", *store.catalog.entry("m").files[0].sources)
    )
    assert newer.condition("m").state == "outdated"
    with pytest.raises(ModelMissingError, match="not the one that the catalog pins now"):
        newer.path("m")


def test_a_store_that_cannot_be_written_still_gives_out_models(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _content: bytes) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr("halfsecond.store.hashes.write_atomically", refuse)
    (store.work_dir / "hashes.json").unlink(missing_ok=True)
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


def test_a_record_that_cannot_be_read_only_costs_time(store: Store) -> None:
    store.path("m")
    (store.work_dir / "hashes.json").write_bytes(b"{")
    assert store.path("m").is_dir()


def test_an_unknown_name_lists_the_known_ones(store: Store) -> None:
    with pytest.raises(ConfigError, match="unknown model 'n'; the catalog has: m"):
        store.path("n")


def test_the_environment_says_where_models_are_kept(tmp_path: Path) -> None:
    assert default_home({"HALFSECOND_HOME": str(tmp_path)}) == tmp_path
    assert default_home({}).name == "engines"
