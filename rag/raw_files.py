"""The home's files as bytes, and what of an erased text is in them: what `loremill erase verify` looks at.

Every regular file is read from its first byte to its last, whatever it is: SQLite's pages and write-ahead logs with what is free or stale in
them, indexes, logs, models. Of databases each stored value is read as well, since a long value is laid over several pages; of zip files
(reports, NumPy's) each member, unpacked.
"""

from __future__ import annotations

import os
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.receipts import IN_BUILDS, of_texts

if TYPE_CHECKING:
    from rag.fingerprints import Finder, Fingerprinter

_PIECE = 4 << 20
_MOST_UNPACKED = 1 << 30


@dataclass(frozen=True, slots=True)
class Sighting:
    """A fingerprint's block that is in a file: at which byte, or in which table or member of it. A server's tables are in `postgresql`."""

    file: str
    where: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "where": self.where, "bytes": int(self.digest[:2], 16)}


@dataclass(frozen=True, slots=True)
class RawScan:
    """How many files and bytes were looked at, what was found, which files could not be read, and what else is to be known of it."""

    files: int
    bytes: int
    found: tuple[Sighting, ...]
    unread: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __add__(self, other: RawScan) -> RawScan:
        """Both together."""
        return RawScan(
            self.files + other.files,
            self.bytes + other.bytes,
            self.found + other.found,
            self.unread + other.unread,
            self.notes + other.notes,
        )


def regular_files(folder: Path) -> Iterator[Path]:
    """Yield every regular file below the folder, by path; links are not followed.

    A PostgreSQL server that keeps its files there keeps them for itself: it is asked, and nobody else touches them.
    """
    for place, folders, names in os.walk(folder):
        folders.sort()
        if "PG_VERSION" in names and Path(place, "global", "pg_control").is_file():
            folders.clear()
            continue
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces; none where it went away meanwhile."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        while piece := file.read(_PIECE):
            yield piece


def scan(home: Path, tenant: str, fingerprinter: Fingerprinter, digests: Sequence[str]) -> RawScan:
    """Look for the fingerprints of a receipt in every file below the home but other tenants': what those have is none of this one's.

    Cost: about 50 MB/s.
    """
    texts = fingerprinter.finder(of_texts(digests))
    rows = fingerprinter.finder([each.removeprefix(IN_BUILDS) for each in digests if each.startswith(IN_BUILDS)])
    files = size = 0
    found: list[Sighting] = []
    unread = []
    for path in regular_files(home):
        if path.is_relative_to(home / "tenants") and not path.is_relative_to(home / "tenants" / tenant):
            continue
        name = path.relative_to(home).as_posix()
        try:
            found += _sightings(path, name, texts)
            if "builds" in path.relative_to(home).parts:
                found += [Sighting(name, f"byte {at}", each) for each, at in rows.found(pieces(path)).items()]
            files, size = files + 1, size + path.stat().st_size
        except FileNotFoundError:
            continue
        except OSError as error:
            unread.append(f"{name}: {error.strerror}")
    return RawScan(files, size, tuple(found), tuple(unread))


def _sightings(path: Path, name: str, finder: Finder) -> Iterator[Sighting]:
    known = finder.found(pieces(path))
    yield from (
        Sighting(name, f"byte {place}", digest) for digest, place in sorted(known.items(), key=lambda it: it[1])
    )
    try:
        for where, parts in _inner(path):
            more = finder.found(parts, known=known)
            known |= more
            yield from (Sighting(name, where, digest) for digest in more)
    except (sqlite3.DatabaseError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError):
        return  # it is not what it looks like; its raw bytes were read


def _inner(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield what a file holds in another form than its bytes have: values of a database, members of an archive."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3\0"):
        yield from _tables(path)
    elif head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED and member.file_size <= _MOST_UNPACKED:
                    yield f"member {member.filename}", iter([archive.read(member)])


def _tables(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    database.text_factory = bytes
    try:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for name in (raw.decode() for (raw,) in tables):
            quoted = name.replace('"', '""')
            yield f"table {name}", joined_values(database.execute(f'SELECT * FROM "{quoted}"'))
    finally:
        database.close()


def joined_values(rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """Yield every text and blob, some rows at a time, with a border between two."""
    part: list[bytes] = []
    size = 0
    for row in rows:
        for value in row:
            if isinstance(value, bytes):
                part.append(value)
                size += len(value)
        if size > _PIECE:
            yield b"\0".join(part) + b"\0"
            part, size = [], 0
    yield b"\0".join(part)
