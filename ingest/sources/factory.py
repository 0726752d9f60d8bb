"""Which source a location means."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from indexes.errors import ConfigError, IngestError
from ingest.sources.base import Source
from ingest.sources.files import CONTAINERS, ContainerSource, FileSource, GlobSource
from ingest.sources.folder import FolderSource
from ingest.sources.mbox import message_items
from ingest.sources.rows import row_items
from ingest.sources.urls import SourceUrl, scheme_of

FORMATS = ("auto", "beir", "mbox", "push", "sql")
SQL_SCHEMES = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql"})


def open_source(location: str | Path, *, format: str = "auto", query: str | None = None) -> Source:
    """Return the source at `location`.

    Args:
        location: a folder, a file, a glob, a JSONL file of rows, an mbox file; an fsspec URL such as `s3://bucket/docs`;
            with `query`, a SQLAlchemy URL. Passwords in URLs are written as `${NAME}` and taken from the environment.
        format: `auto`; `beir` for LOCATION/corpus.jsonl and nothing else there; `mbox` for one whose name does not end so;
            `push` for a file of pushed documents; `sql`.
        query: one SELECT with the columns `id` and `text`, or `@FILE` that holds it.
    Raises:
        IngestError: there is nothing, or it holds no documents; then a mistyped path deletes no collection.
        ConfigError: an argument is wrong, or a URL holds a password.
        DependencyMissing: the URL's driver is not installed.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown source format {format!r}: write {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    source = _source(str(location), format, query)
    if next(source.items(), None) is None:
        raise IngestError(f"no documents were found in {_shown(str(location))}; nothing was changed")
    return source


def open_source_spec(spec: Mapping[str, str]) -> Source:
    """Open a source again by its `spec`; raises as `open_source` does, ConfigError where the spec is empty or not one."""
    if not spec:
        raise ConfigError("this document was pushed and lies in no source: push it again")
    if "location" not in spec or not spec.keys() <= {"location", "format", "query"}:
        raise ConfigError(f"not a source's spec: it has the keys {', '.join(sorted(spec))}")
    return open_source(spec["location"], format=spec.get("format", "auto"), query=spec.get("query"))


def _source(location: str, format: str, query: str | None) -> Source:
    scheme = scheme_of(location)
    if format == "sql" or query is not None:
        return _sql_source(location, format, query)
    if scheme is not None and scheme.partition("+")[0] in SQL_SCHEMES:
        raise ConfigError(f"{scheme}: a database needs a query, such as 'select id, text from documents'")
    if scheme is not None and not (scheme == "file" and "::" not in location):
        from ingest.sources.objects import ObjectSource

        if format != "auto":
            raise ConfigError(f"format {format} reads local files, not {scheme} URLs")
        return ObjectSource(SourceUrl(location))
    # file:// is a path like any other: the rules for links hold there too.
    return _local_source(Path(unquote(urlsplit(location).path) if scheme else location).expanduser(), format)


def _local_source(path: Path, format: str) -> Source:
    if format == "push":
        from ingest.sources.push import PushedBatch

        return PushedBatch(path)
    if format == "beir":
        if not (path / "corpus.jsonl").is_file():
            raise IngestError(
                f"no such file or folder: {path / 'corpus.jsonl'} (format beir reads FOLDER/corpus.jsonl)"
            )
        return ContainerSource((path / "corpus.jsonl").resolve(), row_items, format)
    if format == "mbox" and path.is_file():
        return ContainerSource(path.resolve(), message_items, format)
    if path.is_dir():
        return FolderSource(path.resolve())
    if path.is_file() and (parts := CONTAINERS.get(path.suffix.lower())):
        return ContainerSource(path.resolve(), parts)
    if path.exists():
        return FileSource(path.resolve())
    source = GlobSource(path) if glob.has_magic(str(path)) else None
    if source is None or next(source.items(), None) is None:
        raise IngestError(f"no such file or folder: {path}")
    return source


def _sql_source(location: str, format: str, query: str | None) -> Source:
    from ingest.sources.sql import SqlSource

    if format not in {"auto", "sql"} or query is None or scheme_of(location) is None:
        raise ConfigError("a SQL source is a URL such as sqlite:///FILE or postgresql://HOST/NAME, and a query")
    return SqlSource(SourceUrl(location), query)


def _shown(location: str) -> str:
    return SourceUrl(location).public if scheme_of(location) else location
