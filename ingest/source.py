"""Where documents come from: a folder, a file, a glob, a JSONL file, a BEIR folder.

A source lists everything that lies there, also what cannot be read or parsed: such an item raises when it is read, so
that the pipeline quarantines it with a reason instead of losing it. Files are not opened before their `read` is called;
the rows of JSONL files are streamed.
"""

from __future__ import annotations

import glob
import json
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from indexes.errors import ConfigError, IngestError, LoremillError, ParseError, TooLarge
from indexes.vocabulary import NOBODY, Acl
from ingest.parse import format_of

CONTROL_FILES = frozenset({"acl.yaml", "principals.yaml", "contract.yaml", "gates.yaml", "questions.jsonl"})
ROW_FILES = (".jsonl", ".ndjson")
MAX_ROW_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One thing that may become a document.

    Args:
        document_id: stable across versions: the path below the source's root, or a row's own id.
        uri: where it lies, for people.
        path: what acl.yaml's rules match.
        format: by its extension; `row` for a JSONL row, `` for an extension that is not known.
        read: returns the bytes, or raises an IngestError that says why there are none.
        size: bytes that `read` will return, known beforehand.
        acl: a row's own rights, above those of any file; NOBODY where they are malformed, and `acl_error` says how.
    """

    document_id: str
    uri: str
    path: str
    format: str
    read: Callable[[], bytes]
    size: int
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Acl | None = None
    acl_error: str | None = None


class Source(Protocol):
    """Lists items, in the same order each time. `name` is the source's identity: what it no longer lists is deleted."""

    @property
    def name(self) -> str: ...

    def items(self) -> Iterator[SourceItem]: ...


def open_source(location: str | Path, *, format: str = "auto") -> Source:
    """Return the source at `location`: a folder, a file, a glob, or a JSONL file of rows.

    Args:
        format: `auto`, or `beir` for LOCATION/corpus.jsonl and nothing else there.
    Raises:
        IngestError: there is nothing, or it holds no documents; then a mistyped path deletes no collection.
        ConfigError: `format` is neither.
    """
    if format not in {"auto", "beir"}:
        raise ConfigError(f"unknown source format {format!r}: write auto or beir")
    path = Path(location).expanduser()
    source: Source
    if format == "beir":
        corpus = path / "corpus.jsonl"
        if not corpus.is_file():
            raise IngestError(f"no such file or folder: {corpus} (format beir reads FOLDER/corpus.jsonl)")
        source = RowSource(corpus.resolve())
    elif path.is_dir():
        source = FolderSource(path.resolve())
    elif path.suffix.lower() in ROW_FILES and path.is_file():
        source = RowSource(path.resolve())
    elif path.exists():
        source = FileSource(path.resolve().as_uri(), path.resolve().parent, lambda: [path.resolve()])
    elif glob.has_magic(str(path)):
        source = _glob_source(path)
    else:
        raise IngestError(f"no such file or folder: {location}")
    if next(source.items(), None) is None:
        raise IngestError(f"no documents were found in {location}; nothing was changed")
    return source


@dataclass(frozen=True)
class FileSource:
    """The files that `list_files` names, all below `root`."""

    name: str
    root: Path
    list_files: Callable[[], Iterable[Path]]

    def items(self) -> Iterator[SourceItem]:
        for path in self.list_files():
            yield from _file_items(path, self.root)


@dataclass(frozen=True)
class FolderSource:
    """Every file below a folder, sorted, but hidden ones and the control files in the root.

    A symbolic link whose target lies inside the folder is passed over: the target is listed at its own place, under
    its own rights. One that leads elsewhere is listed and refuses to be read, for the rights at the target are not
    known here.
    """

    root: Path

    @property
    def name(self) -> str:
        return self.root.as_uri()

    def items(self) -> Iterator[SourceItem]:
        return self._walk(self.root)

    def _walk(self, folder: Path) -> Iterator[SourceItem]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield _refused(folder, self.root, f"the folder cannot be listed: {error.strerror}")
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith((".", "~$")) or (folder == self.root and entry.name in CONTROL_FILES):
                continue
            if entry.is_symlink():
                if not self._listed_elsewhere(path):
                    yield _refused(path, self.root, "it is a symbolic link that leads out of the folder, or nowhere")
            elif entry.is_dir():
                yield from self._walk(path)
            else:
                yield from _file_items(path, self.root)

    def _listed_elsewhere(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True).relative_to(self.root)
        except (OSError, RuntimeError, ValueError):
            return False
        return not any(part.startswith(".") for part in target.parts)


@dataclass(frozen=True)
class RowSource:
    """The rows of one JSONL file: {"id" or "_id", "text", "title"?, "metadata"?, "acl"?, "uri"?}.

    The id is the document's.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.as_uri()

    def items(self) -> Iterator[SourceItem]:
        return _rows(self.path, self.path.name, acl_path=None)


def _glob_source(pattern: Path) -> FileSource:
    parts = pattern.absolute().parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]).resolve()
    rest = Path(*parts[fixed:]).as_posix()

    def list_files() -> list[Path]:
        found = [root / name for name in sorted(set(glob.glob(rest, root_dir=root, recursive=True)))]
        return [
            path for path in found if not path.is_dir() and not (path.parent == root and path.name in CONTROL_FILES)
        ]

    if not list_files():
        raise IngestError(f"no such file or folder: {pattern}")
    return FileSource(f"{root.as_uri()}/{rest}", root, list_files)


def _file_items(path: Path, root: Path) -> Iterator[SourceItem]:
    try:
        status = path.stat()
    except OSError as error:
        yield _refused(path, root, f"it cannot be read: {error.strerror}")
        return
    name = _name(path, root)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        yield _refused(path, root, "it is not a regular file")
    elif path.suffix.lower() in ROW_FILES:
        yield from _rows(path, f"{name}#", acl_path=name)
    else:
        yield SourceItem(name, path.as_uri(), name, format_of(path.name), lambda: _read(path), status.st_size)


def _name(path: Path, root: Path) -> str:
    """The path below the root, as text that can be stored and matched, whatever the file system holds."""
    relative = path.relative_to(root).as_posix()
    printable = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", printable)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IngestError(f"{path.name} cannot be read: {error.strerror}") from error


def _raise(error: LoremillError) -> Callable[[], bytes]:
    def read() -> bytes:
        raise error

    return read


def _refused(path: Path, root: Path, why: str) -> SourceItem:
    name = _name(path, root)
    return SourceItem(name, path.as_uri(), name, "", _raise(IngestError(f"{name}: {why}")), 0)


def _rows(path: Path, prefix: str, *, acl_path: str | None) -> Iterator[SourceItem]:
    """Stream the rows; `acl_path` is None where the row's id is what the rules match.

    Ids are `prefix` plus the row's own, but bare where the file is the whole source.
    """
    lines: dict[str, int] = {}
    try:
        file = path.open("rb")
    except OSError as error:
        yield _refused(path, path.parent, f"it cannot be read: {error.strerror}")
        return
    with file:
        for number, line in _lines(file):
            try:
                row = _load_row(line)
                identity = str(row["id"])
                if lines.setdefault(identity, number) != number:
                    raise ParseError(f"the id {identity!r} stands already on line {lines[identity]}")
            except (ParseError, TooLarge) as error:
                message = type(error)(f"{path.name}, line {number}: {error}")
                name = f"{acl_path or path.name}:{number}"
                yield SourceItem(
                    name, f"{path.as_uri()}#L{number}", acl_path or name, "row", _raise(message), 0, acl=NOBODY
                )
                continue
            yield _row_item(row, identity if acl_path is None else prefix + identity, path, acl_path)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number the lines from 1; of an over-long one only the beginning comes, which is more than MAX_ROW_BYTES."""
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_ROW_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_ROW_BYTES + 1)
        if line.strip(b"\xef\xbb\xbf \t\r\n"):
            yield number, line


def _load_row(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_ROW_BYTES:
        raise TooLarge(f"a row of more than {MAX_ROW_BYTES:,} bytes")
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not valid JSON in UTF-8: {error}") from error
    if not isinstance(row, dict):
        raise ParseError("a row must be a JSON object")
    row["id"] = row.get("_id", row.get("id"))
    if not isinstance(row["id"], str | int) or isinstance(row["id"], bool) or not str(row["id"]).strip():
        raise ParseError('a row needs "_id" or "id", a string or a whole number')
    for key, kind in (("text", str), ("title", str), ("uri", str), ("metadata", dict)):
        if row.get(key) is not None and not isinstance(row[key], kind):
            raise ParseError(f'"{key}" must be {"an object" if kind is dict else "a string"}')
    if row.get("text") is None:
        raise ParseError('a row needs "text"')
    return row


def _row_item(row: dict[str, Any], document_id: str, path: Path, acl_path: str | None) -> SourceItem:
    title = row.get("title") or ""
    # BEIR has documents that are nothing but a title.
    data = (row["text"] if row["text"].strip() else title).encode("utf-8", "surrogatepass")
    acl, acl_error = _row_acl(row["acl"]) if "acl" in row else (None, None)
    return SourceItem(
        document_id=document_id,
        uri=row.get("uri") or f"{path.as_uri()}#{row['id']}",
        path=acl_path or document_id,
        format="row",
        read=lambda: data,
        size=len(data),
        title=title,
        metadata=row.get("metadata") or {},
        acl=acl,
        acl_error=acl_error,
    )


def _row_acl(value: object) -> tuple[Acl, str | None]:
    """Read a row's own rights; whatever is malformed is NOBODY, with the fault, for a guess could open it."""
    form = 'must be {"allow": [...], "deny": [...]}'
    if not isinstance(value, dict) or not value.keys() <= {"allow", "deny"} or not value:
        return NOBODY, f"acl {form}, got {json.dumps(value)[:200]}; nobody may read it"
    lists = [value.get(key, []) for key in ("allow", "deny")]
    if not all(isinstance(names, list) for names in lists):
        return NOBODY, f"acl {form}, got {json.dumps(value)[:200]}; nobody may read it"
    try:
        return Acl(tuple(lists[0]), tuple(lists[1])), None
    except ConfigError as error:
        return NOBODY, f"{error}; nobody may read it"
