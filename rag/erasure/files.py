"""Erases from files that others put into the home: evaluation sets, reports, logs, and the judge's cache.

Of a JSONL file the lines go that ask as the subject or repeat what is erased; any other file that repeats it goes as a whole. The home's
own stores have erasers of their own, and prompts are what releases rest on: they are left to `loremill erase verify`, which names them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rag.erasure.target import Eraser, Found, Target, strings_in
from rag.raw_files import pieces, regular_files

if TYPE_CHECKING:
    from rag.fingerprints import Finder

JUDGE_CACHE = "judge.db"
_OWN = {"models", "prompts", "receipts", "erasing", "directory.db", "receipts.key", "loremill.toml"}
_OWN_OF_TENANT = {"catalog.db", "audit", "collections", "inbox"}
_DATABASE = b"SQLite format 3\0"


class FileEraser(Eraser):
    """Of the files below the home that belong to no tenant or to this one."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._home = home
        self._tenant = tenant

    def find(self, target: Target) -> Found:
        rows = [line for path in self._loose() for line in _lines(path) if _asks_as(target, line)]
        counts = {"evaluation_rows": len(rows), "files": 0, "judge_caches": len(self._caches())}
        return Found(counts, said=tuple(text for line in rows for text in strings_in(json.loads(line))))

    def others(self, target: Target) -> Iterator[str]:
        for path in self._loose():
            yield from (line.decode("utf-8", "replace") for line in _lines(path) if not _asks_as(target, line))

    def repeated(self, target: Target, finder: Finder) -> Mapping[str, int]:
        rows = files = 0
        for path in self._loose():
            if path.suffix == ".jsonl":
                rows += sum(_goes(target, line, finder) for line in _lines(path))
            else:
                files += bool(finder.found(pieces(path)))
        return {"evaluation_rows": rows, "files": files}

    def erase(self, target: Target, finder: Finder) -> None:
        for path in self._caches():
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        for path in self._loose():
            if path.suffix == ".jsonl":
                _drop(path, target, finder)
            elif finder.found(pieces(path)):
                path.unlink()

    def _caches(self) -> list[Path]:
        return [path for path in [self._home / JUDGE_CACHE] if path.exists()]

    def _loose(self) -> Iterator[Path]:
        """Yield the files that no other eraser looks after."""
        for path in regular_files(self._home):
            parts = path.relative_to(self._home).parts
            if parts[0] == "tenants":
                own = len(parts) < 3 or parts[1] != self._tenant or _stem(parts[2]) in _OWN_OF_TENANT
            else:
                own = _stem(parts[0]) in _OWN or _stem(parts[0]) == JUDGE_CACHE
            if not own and not next(iter(pieces(path)), b"").startswith(_DATABASE):
                yield path


def _stem(name: str) -> str:
    """Return a database's name for the files beside it too."""
    return name.removesuffix("-wal").removesuffix("-shm")


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.suffix == ".jsonl" else []


def _asks_as(target: Target, line: bytes) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and any(target.is_subjects(row.get(name)) for name in ("principal", "subject"))


def _goes(target: Target, line: bytes, finder: Finder) -> bool:
    return _asks_as(target, line) or bool(finder.found([line]))


def _drop(path: Path, target: Target, finder: Finder) -> None:
    """Drop a file's lines that are to be erased."""
    lines = _lines(path)
    kept = [line for line in lines if not _goes(target, line, finder)]
    if len(kept) < len(lines):
        aside = path.with_name(f".{path.name}.tmp")
        aside.write_bytes(b"".join(kept))
        aside.chmod(path.stat().st_mode & 0o777)
        os.replace(aside, path)
