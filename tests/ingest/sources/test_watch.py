"""A watched folder reports each change once, and its disappearance as an error. Bounds suit a busy machine."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from indexes.errors import ConfigError, IngestError
from ingest.sources import changes

WAYS = [pytest.param(None, id="told"), pytest.param(0.1, id="polled")]
PATIENCE = 30.0
QUIET = 2.5


class Watcher:
    """Runs `changes` in a thread and queues what it says: None for a change, else the error, `stopped` at the end."""

    def __init__(self, location: Path | str, poll_s: float | None) -> None:
        self.said: Queue[object] = Queue()
        self.stop = threading.Event()
        self.iterator = changes(location, debounce_s=0.3, poll_s=poll_s, stop=self.stop)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for _ in self.iterator:
                self.said.put(None)
            self.said.put("stopped")
        except IngestError as error:
            self.said.put(error)

    def next(self) -> object:
        return self.said.get(timeout=PATIENCE)

    def is_quiet(self) -> bool:
        try:
            self.said.get(timeout=QUIET)
        except Empty:
            return True
        return False


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def start(location: Path | str, poll_s: float | None) -> Watcher:
        if poll_s is None:
            pytest.importorskip("watchfiles", reason="the extra `sources` is not installed")
        watchers.append(Watcher(location, poll_s))
        assert watchers[-1].next() is None, "it yields once at the start"
        return watchers[-1]

    yield start
    for watcher in watchers:
        watcher.stop.set()
        watcher.thread.join(PATIENCE)
        assert not watcher.thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("poll_s", WAYS)
def test_a_burst_of_writes_is_one_change_and_each_kind_of_change_is_seen(
    tmp_path: Path, watch: Callable[..., Watcher], poll_s: float | None
) -> None:
    (tmp_path / "sub").mkdir()
    watcher = watch(tmp_path, poll_s)
    for number in range(50):
        (tmp_path / "sub" / f"{number}.md").write_text("x")
    assert watcher.next() is None
    assert watcher.is_quiet()
    for change in (
        lambda: (tmp_path / "sub/1.md").write_text("y"),
        lambda: (tmp_path / "sub/1.md").rename(tmp_path / "moved.md"),
        lambda: (tmp_path / "moved.md").unlink(),
        lambda: (tmp_path / "acl.yaml").write_text("default: {allow: [everyone]}"),
    ):
        change()
        assert watcher.next() is None
    assert watcher.is_quiet()


@pytest.mark.slow
@pytest.mark.parametrize("poll_s", WAYS)
def test_hidden_files_and_other_files_beside_a_watched_one_do_not_count(
    tmp_path: Path, watch: Callable[..., Watcher], poll_s: float | None
) -> None:
    (tmp_path / "a.jsonl").write_text("x")
    watcher = watch(tmp_path / "a.jsonl", poll_s)
    (tmp_path / "other.md").write_text("x")
    (tmp_path / ".a.jsonl.swp").write_text("x")
    assert watcher.is_quiet()
    (tmp_path / "new").write_text("y")
    (tmp_path / "new").replace(tmp_path / "a.jsonl")
    assert watcher.next() is None


@pytest.mark.slow
@pytest.mark.parametrize("poll_s", WAYS)
def test_a_folder_that_disappears_is_an_error(
    tmp_path: Path, watch: Callable[..., Watcher], poll_s: float | None
) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    watcher = watch(root / "*.md", poll_s)
    shutil.rmtree(root)
    said = watcher.next()
    while said is None:  # the files' going may be seen before the folder's
        said = watcher.next()
    assert isinstance(said, IngestError)
    assert "kept as they were" in str(said) or "cannot be listed" in str(said)


@pytest.mark.slow
@pytest.mark.parametrize("poll_s", WAYS)
def test_another_folder_in_its_place_is_watched_from_then_on(
    tmp_path: Path, watch: Callable[..., Watcher], poll_s: float | None
) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for folder in (root, other):
        folder.mkdir()
        (folder / f"{folder.name}.md").write_text("x")
    watcher = watch(root, poll_s)
    _exchange(root, other)
    assert watcher.next() is None
    assert watcher.is_quiet()
    (root / "more.md").write_text("x")
    assert watcher.next() is None


def test_what_changes_while_the_caller_is_at_work_is_reported_when_it_comes_back(tmp_path: Path) -> None:
    for poll_s in (None, 0.05):
        stop = threading.Event()
        iterator = changes(tmp_path, debounce_s=0.1, poll_s=poll_s, stop=stop)
        next(iterator)
        (tmp_path / f"{poll_s}.md").write_text("x")
        time.sleep(0.3)
        next(iterator)  # would wait until the test is cut off
        stop.set()
        assert list(iterator) == []


def test_stop_ends_it_at_once_and_before_it_begins(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    for poll_s in (None, 60.0):
        watcher = watch(tmp_path, poll_s)
        started = time.monotonic()
        watcher.stop.set()
        assert watcher.next() == "stopped"
        assert time.monotonic() - started < 15


def test_a_url_is_polled_by_its_marks_and_says_so(watch: Callable[..., Watcher]) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra `sources` is not installed")
    with pytest.raises(ConfigError, match="how often"):
        changes("memory://watched", stop=threading.Event())
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/watched/a.md", b"x")
    watcher = watch("memory://watched", 0.05)
    fs.pipe_file("/watched/acl.yaml", b"default: {}")
    assert watcher.next() is None
    fs.pipe_file("/watched/b.md", b"x")
    assert watcher.next() is None
    fs.rm("/watched", recursive=True)
    assert isinstance(watcher.next(), IngestError)


def test_a_system_that_cannot_watch_so_much_is_an_error_that_says_to_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchfiles = pytest.importorskip("watchfiles", reason="the extra `sources` is not installed")

    def full(*_: object, **__: object) -> Iterator[set[object]]:
        raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr(watchfiles, "watch", full)
    with pytest.raises(IngestError, match="poll_s"):
        next(changes(tmp_path.as_uri(), stop=threading.Event()))


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no such file or folder"):
        changes(tmp_path / "none", stop=threading.Event())


def _exchange(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)
