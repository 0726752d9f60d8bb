"""The files of an audit log: segments `000001.jsonl`, `000002.jsonl`, ..., and `head.json`, by which the log is locked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexes.audit_chain import HEAD_BYTES

HEAD = "head.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was there at one moment: the head's bytes, and each segment's number and size, by number."""

    head: bytes
    segments: dict[int, int]


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.jsonl"


def segment_size(folder: Path, number: int) -> int:
    """Return the bytes of a segment, 0 where there is none."""
    try:
        return segment_path(folder, number).stat().st_size
    except FileNotFoundError:
        return 0


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments that are there, sorted."""
    stems = (path.stem for path in folder.glob("*.jsonl"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and stem == f"{int(stem):06d}")


@contextmanager
def locked_head(folder: Path) -> Iterator[int]:
    """Hold the log for one writer among threads and processes; gives the head's file descriptor."""
    path = folder / HEAD
    try:
        head = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(head, fcntl.LOCK_EX)
        yield head
    finally:
        os.close(head)


def read_head(head: int) -> bytes:
    return os.pread(head, 2 * HEAD_BYTES, 0)


def take_snapshot(folder: Path) -> Snapshot:
    """Look at the log while nobody writes. Works on a copy that cannot be written too."""
    try:
        head = os.open(folder / HEAD, os.O_RDONLY)
    except FileNotFoundError:
        return Snapshot(b"", _sizes(folder))
    try:
        fcntl.flock(head, fcntl.LOCK_SH)
        return Snapshot(read_head(head), _sizes(folder))
    finally:
        os.close(head)


def _sizes(folder: Path) -> dict[int, int]:
    return {number: segment_size(folder, number) for number in segment_numbers(folder)}


def read_lines(folder: Path, number: int, *, size: int, start: int = 0) -> Iterator[bytes]:
    """Yield a segment's lines from byte `start` to byte `size`; the last has no newline if it is cut there.

    A segment that retention has removed meanwhile has none.
    """
    try:
        file = segment_path(folder, number).open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        while start < size and (line := file.readline(size - start)):
            start += len(line)
            yield line
