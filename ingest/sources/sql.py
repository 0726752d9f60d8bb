"""The rows of a SQL query, through SQLAlchemy: whatever it has a driver for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from indexes.errors import ConfigError, DependencyMissing, IngestError, ParseError
from indexes.vocabulary import NOBODY, Acl, digest
from ingest.sources.base import SourceItem, checked, failing, held
from ingest.sources.rows import body, check_row, own_rights
from ingest.sources.urls import SourceUrl
from ingest.sources.values import plain

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FETCHED = 500
OWN_COLUMNS = ("id", "text", "title", "uri", "acl", "version")
READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET TRANSACTION READ ONLY",
    "mariadb": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
_ASIDE = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"", re.DOTALL)


@dataclass(frozen=True)
class SqlSource:
    """One document a row.

    The columns `id` and `text` are needed; `title`, `uri`, `acl` (JSON: {"allow": [...], "deny": [...]}) and `version` are
    known; every other one is metadata. A row whose `acl` is NULL may be read by nobody. The order is the query's: give it
    ORDER BY to have the same each time. Nothing is written: the query must be one SELECT, its transaction is read-only
    where the database knows that, and rolled back.

    Args:
        url: a SQLAlchemy URL.
        query: the text, or `@FILE`; the source's identity goes by the file's name, or by the text.
    Raises:
        ConfigError: the query is no SELECT, or the URL's form is wrong.
    """

    url: SourceUrl
    query: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", SourceUrl(_absolute(self.url.written)))
        if self.query.startswith("@"):
            object.__setattr__(self, "query", f"@{Path(self.query[1:]).expanduser().resolve()}")
        self._statement()

    @property
    def name(self) -> str:
        return f"{self.url.written}#{self.query if self.query.startswith('@') else digest(' '.join(self.query.split()))[:16]}"

    @property
    def spec(self) -> dict[str, str]:
        return {"location": self.url.written, "format": "sql", "query": self.query}

    def read_control(self, name: str) -> bytes | None:
        return None

    def items(self) -> Iterator[SourceItem]:
        return checked(self._rows())

    def _rows(self) -> Iterator[SourceItem]:
        with self._errors(), self._engine() as engine, engine.connect() as connection:
            if command := READ_ONLY.get(engine.dialect.name):
                connection.exec_driver_sql(command)
            try:
                yield from self._selected(connection)
            finally:
                connection.rollback()

    def _selected(self, connection: Connection) -> Iterator[SourceItem]:
        options = {"stream_results": True, "yield_per": FETCHED, "no_parameters": True}
        with connection.exec_driver_sql(self._statement(), execution_options=options) as result:
            columns = _columns(list(result.keys()))
            for number, values in enumerate(result, start=1):
                yield _item(dict(zip(columns, values, strict=True)), number, self.url.public)

    def _statement(self) -> str:
        query = self.query
        if query.startswith("@"):
            try:
                query = Path(query[1:]).read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"the query cannot be read from {query[1:]}: {error}") from error
        query = query.strip().removesuffix(";")
        bare = _ASIDE.sub(" ", query).strip()
        if not re.match(r"(?:select|with)\b", bare, re.IGNORECASE) or ";" in bare:
            raise ConfigError("a query must be one SELECT (or WITH ... SELECT): ingestion only reads")
        return query

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        from sqlalchemy import NullPool, create_engine

        engine = create_engine(self.url.expanded(), poolclass=NullPool)
        file = engine.url.database or ":memory:"
        if engine.dialect.name == "sqlite" and not file.startswith((":memory:", "file:")) and not Path(file).is_file():
            raise IngestError(f"no such database: {file}")  # sqlite would make an empty one
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Give a database's error its place, and take out the password that it may quote."""
        from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

        try:
            yield
        except ModuleNotFoundError as error:
            raise DependencyMissing(error.name or "the database's driver") from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigError(self.url.scrub(f"{self.url.public}: not a database URL: {error}")) from None
        except SQLAlchemyError as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            message = f"{self.url.public}: the query failed: {reason}; nothing was changed"
            raise IngestError(self.url.scrub(message)) from None


def _absolute(url: str) -> str:
    """A SQLite file by its full path, for the source's name must not depend on where the program was started."""
    scheme, mark, path = url.partition(":///")
    if not scheme.startswith("sqlite") or not mark or path.startswith((":memory:", "file:", "?")) or not path:
        return url
    name, mark2, query = path.partition("?")
    return f"{scheme}:///{Path(name).expanduser().resolve()}{mark2}{query}"


def _columns(names: Sequence[str]) -> list[str]:
    """Return the columns' names, those with a meaning in lower case; raise ConfigError where one is missing or double."""
    columns = [name.lower() if name.lower() in OWN_COLUMNS else name for name in names]
    for name in ("id", "text"):
        if name not in columns:
            raise ConfigError(
                f"the query must give a column {name!r} (write ... as {name}); it gives {', '.join(names)}"
            )
    if len(set(columns)) < len(columns):
        raise ConfigError(f"the query gives a column twice: {', '.join(names)}; rename one with AS")
    return columns


def _item(row: dict[str, Any], number: int, url: str) -> SourceItem:
    identity = f"row:{number}"
    acl: Acl | None = NOBODY  # as long as the row's own rights are out of sight
    try:
        identity = _identity(row["id"])
        acl, acl_error = _rights(row) if "acl" in row else (None, None)
        if row["text"] is None:
            raise ParseError("its text is NULL")
        check_row({key: row.get(key) for key in ("text", "title", "uri")})
        metadata = {
            key: plain(value, key) for key, value in row.items() if key not in OWN_COLUMNS and value is not None
        }
    except ParseError as error:
        message = ParseError(f"{url}, row {number} (id {identity!r}): {error}")
        return SourceItem(identity, f"{url}#{identity}", identity, "row", failing(message), 0, acl=acl)
    data = body(row)
    return SourceItem(
        document_id=identity,
        uri=row.get("uri") or f"{url}#{identity}",
        path=identity,
        format="row",
        read=held(data),
        size=len(data),
        title=row.get("title") or "",
        metadata=metadata,
        acl=acl,
        acl_error=acl_error,
        mark=_mark(row, data, metadata),
    )


def _mark(row: Mapping[str, Any], data: bytes, metadata: Mapping[str, Any]) -> str:
    """The row's own version where it has one (and the columns, which a changed query changes), else a digest of it."""
    if row.get("version") is not None:
        return f"version/1:{digest(str(row['version']), *row)}"
    return f"sql/1:{digest(data, row.get('title') or '', json.dumps(metadata, sort_keys=True))}"


def _identity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID | Decimal) or not str(value).strip():
        raise ParseError(f"an id must be a string or a number, got {value!r}")
    return str(value)


def _rights(row: Mapping[str, Any]) -> tuple[Acl, str | None]:
    value = row["acl"]
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):  # what is no JSON is malformed
            value = json.loads(value)
    return own_rights(value)
