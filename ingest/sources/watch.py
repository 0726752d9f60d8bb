"""Saying when a source changed, so that it is ingested again at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from urllib.parse import unquote, urlsplit

from indexes.errors import ConfigError, IngestError
from indexes.vocabulary import digest
from ingest.sources.base import CONTROL_FILES
from ingest.sources.factory import open_source
from ingest.sources.urls import scheme_of

LONGEST_BURST = 20
"""Writing that never pauses is reported all the same, after so many times `debounce_s`."""


def changes(
    location: str | Path, *, debounce_s: float = 1.0, poll_s: float | None = None, stop: Event
) -> Iterator[None]:
    """Yield once at the start, and again whenever something changed below a folder, or below a file's or glob's root.

    What changes while the caller is at work on the last change is reported when it comes back. Control files count, hidden
    files do not.

    Args:
        location: a path or glob, or an fsspec URL, which needs `poll_s`: its listing's marks are compared.
        debounce_s: how long it must have been quiet; a burst of writes yields once.
        poll_s: look every so many seconds, instead of being told by the operating system; for network file systems, which
            tell nothing of what other machines write, and where watchfiles is not installed (then 2 seconds).
        stop: ends it, within a fraction of a second or while it is looking.
    Raises:
        IngestError: the folder is gone or cannot be listed, which is not the same as empty.
    """
    if scheme_of(str(location)) not in {None, "file"}:
        if poll_s is None:
            raise ConfigError(f"{scheme_of(str(location))}: changes there are not reported: say how often to look")
        return _polled(lambda: _listing_state(str(location)), debounce_s, poll_s, stop)
    path = unquote(urlsplit(str(location)).path) if scheme_of(str(location)) else location
    root, names = _watched(Path(path).expanduser())
    if poll_s is None:
        try:
            import watchfiles  # noqa: F401
        except ImportError:
            poll_s = 2.0
    if poll_s is not None:
        return _polled(lambda: _folder_state(root, names), debounce_s, poll_s, stop)
    return _told(root, names, debounce_s, stop)


def _watched(path: Path) -> tuple[Path, frozenset[str] | None]:
    """Return the folder to watch, and which names in it matter; None for all that lies below it."""
    if path.is_dir():
        return path.resolve(), None
    if path.exists():  # its folder, for many programs replace a file instead of writing into it
        path = path.resolve()
        return path.parent, CONTROL_FILES | {path.name}
    if not glob.has_magic(str(path)):
        raise IngestError(f"no such file or folder: {path}")
    parts = path.absolute().parts
    return Path(*parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))]).resolve(), None


def _told(root: Path, names: frozenset[str] | None, debounce_s: float, stop: Event) -> Iterator[None]:
    import watchfiles

    def matters(_change: object, path: str) -> bool:
        parts = Path(path).relative_to(root).parts
        return not any(part.startswith((".", "~$")) for part in parts) and (names is None or set(parts) <= names)

    while not stop.is_set():  # anew where another folder has taken the place of the watched one
        identity = _identity(root)
        step = max(int(debounce_s * 1000), 10)
        batches = watchfiles.watch(
            root,
            watch_filter=matters,
            step=step,
            debounce=step * LONGEST_BURST,
            rust_timeout=max(step, 200),
            yield_on_timeout=True,
            stop_event=stop,
            recursive=names is None,
            raise_interrupt=True,
            ignore_permission_denied=True,
        )
        started = False
        try:
            for batch in batches:  # the first comes once the folder is watched: nothing after it goes unseen
                if _identity(root) != identity:
                    break
                if batch or not started:
                    started = True
                    yield
        except (OSError, RuntimeError) as error:
            raise IngestError(
                f"{root} cannot be watched: {error}; look every so many seconds instead (poll_s)"
            ) from error
        finally:
            batches.close()


def _polled(state: Callable[[], str], debounce_s: float, poll_s: float, stop: Event) -> Iterator[None]:
    reported = state()
    yield
    while not stop.wait(poll_s):
        now = state()
        if now == reported:
            continue
        for _ in range(LONGEST_BURST):
            if stop.wait(debounce_s):
                return
            before, now = now, state()
            if now == before:
                break
        reported = now
        yield


def _folder_state(root: Path, names: frozenset[str] | None) -> str:
    """Return a digest of all names, times, sizes and inodes; not of marks, which change once without the file."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or error.filename == str(root):
            raise IngestError(f"{error.filename} cannot be listed: {error.strerror}") from error

    _identity(root)
    lines: list[str] = []
    for folder, folders, files in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if names is None else []
        for name in sorted(files):
            if name.startswith((".", "~$")) or (names is not None and name not in names):
                continue
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            lines.append(f"{path}\0{found.st_mtime_ns}\0{found.st_ctime_ns}\0{found.st_size}\0{found.st_ino}")
    return digest(*(os.fsencode(line) for line in lines))


def _listing_state(location: str) -> str:
    source = open_source(location)
    listed = (part for item in source.items() for part in (item.document_id, item.mark, str(item.size)))
    controls = (source.read_control(name) or b"" for name in ("acl.yaml", "contract.yaml"))
    return digest(*listed, *controls)


def _identity(root: Path) -> tuple[int, int]:
    try:
        found = root.stat()
    except OSError as error:
        raise IngestError(f"{root} cannot be watched: {error.strerror}; its documents are kept as they were") from error
    return found.st_dev, found.st_ino
