"""The file under a catalog: one SQLite database in WAL mode, opened at the present schema, read in consistent views, changed whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from indexes.access import Members
from indexes.errors import CollectionNotFound, ConfigError, IndexBackendError
from indexes.vocabulary import check_name

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


class CatalogFile:
    """What `Catalog` is built on."""

    def __init__(self, engine: Engine, tenant: str, members: Members | None = None) -> None:
        self._engine = engine
        self._members = members
        self.tenant = tenant

    @classmethod
    def open(cls, path: Path, *, tenant: str, create: bool = True, members: Members | None = None) -> Self:
        """Open the database at `path`, making it (and its folder) if `create`.

        Args:
            members: who is in which group; None takes principals as they state themselves.
        Raises:
            IndexBackendError: it cannot be opened or was written by another version.
        """
        from sqlalchemy import create_engine, event, inspect, select
        from sqlalchemy.dialects.sqlite import insert
        from sqlalchemy.exc import DatabaseError

        from indexes import tables
        from indexes.migrations import migrate

        check_name(tenant, "tenant")
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise CollectionNotFound(
                f"tenant {tenant!r} holds nothing here; run: loremill ingest SOURCE --tenant {tenant}"
            )
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 60.0})
        event.listen(engine, "connect", connect_pragmas)
        try:
            with engine.connect() as db:
                known = inspect(db).has_table(tables.state.name)
            if not known:
                with engine.begin() as db:
                    db.exec_driver_sql("BEGIN IMMEDIATE")  # whoever comes second finds everything made
                    tables.metadata.create_all(db)
                    row = {"key": "schema", "value": str(tables.SCHEMA_VERSION)}
                    db.execute(insert(tables.state).on_conflict_do_nothing(), row)
            version = select(tables.state.c.value).where(tables.state.c.key == "schema")
            with engine.connect() as db:
                found = db.execute(version).scalar()
            if found != str(tables.SCHEMA_VERSION):
                with engine.begin() as db:
                    db.exec_driver_sql("BEGIN IMMEDIATE")
                    migrate(db, found=db.execute(version).scalar(), path=str(path))
        except IndexBackendError:
            engine.dispose()
            raise
        except DatabaseError as error:
            engine.dispose()
            raise IndexBackendError(f"the catalog {path} cannot be opened: {error.orig or error}") from error
        return cls(engine, tenant, members)

    def close(self) -> None:
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def schema(self) -> str | None:
        return None

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(str(self._engine.url.database))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database, however many statements it takes."""
        from sqlalchemy.exc import DatabaseError

        try:
            with self._engine.connect() as db:
                db.exec_driver_sql("BEGIN")  # the driver itself begins a transaction at the first write only
                yield db
        except DatabaseError as error:
            raise IndexBackendError(f"the catalog could not be read: {error.orig or error}") from error
        except UnicodeEncodeError as error:
            raise ConfigError(f"{error.object!r} is not valid Unicode: it holds half of a surrogate pair") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction. A full disk or a broken file becomes an IndexBackendError, and nothing of it is kept."""
        from sqlalchemy.exc import DatabaseError

        try:
            with self._engine.begin() as db:
                db.exec_driver_sql("BEGIN IMMEDIATE")  # so that what is read here still holds when it is written
                yield db
        except DatabaseError as error:
            raise IndexBackendError(
                f"the catalog could not be written, nothing was changed: {error.orig or error}"
            ) from error
        except UnicodeEncodeError as error:
            raise ConfigError(f"{error.object!r} is not valid Unicode: it holds half of a surrogate pair") from error


def connect_pragmas(connection: Any, _record: Any) -> None:
    """Set up a new connection of the driver."""
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "busy_timeout=60000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
