"""What lies under a catalog: one of the databases of `BACKENDS`, each in a module of its own.

setting catalog_url   "" ............ indexes.catalog_sqlite: one file a tenant
                      postgresql:// . indexes.catalog_postgres: one schema a tenant
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from indexes.errors import ConfigError, IndexBackendError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from indexes.plain_views import View

Kind = Literal["read", "stage", "write"]
"""A transaction that sees one state of everything; one that writes to staging; one that writes to the catalog, one at a time."""


@dataclass(frozen=True, slots=True)
class Database:
    """Connections in a transaction that this database's own statement has begun."""

    engine: Engine
    begins: Mapping[Kind, str]

    def connect(self, kind: Kind) -> Connection:
        """Return a connection in a new transaction; it ends with `commit`, or is undone with `close`."""
        from sqlalchemy.exc import DBAPIError

        try:
            return self._begun(kind)
        except DBAPIError as error:
            if not error.connection_invalidated:  # else the server was started anew since, and nothing has begun yet
                raise
            return self._begun(kind)

    def _begun(self, kind: Kind) -> Connection:
        db = self.engine.connect()
        try:
            db.exec_driver_sql(self.begins[kind])
        except BaseException:
            db.close()
            raise
        return db


class CatalogBackend(Protocol):
    """One tenant's database. Safe among threads."""

    @property
    def database(self) -> Database: ...

    @property
    def engine(self) -> Engine:
        """Plain, for maintenance: its connections begin no transaction of ours."""
        ...

    @property
    def schema(self) -> str | None:
        """The tenant's schema, None where it has the database to itself."""
        ...

    @property
    def path(self) -> Path | None:
        """The database's file, None where it is a server's."""
        ...

    @property
    def place(self) -> str:
        """What messages call it; holds no password."""
        ...

    def look(self) -> AbstractContextManager[View]:
        """Return a view of one state, made cheaply, for the few statements in the path of every query."""
        ...

    def exists(self) -> bool:
        """Return whether the tenant has a catalog here."""
        ...

    def prepare(self, db: Connection) -> None:
        """Make the place for the tables, in the transaction that creates them."""
        ...

    def finish(self, db: Connection) -> None:
        """Set up what the tables need besides, in the transaction that creates or changes them."""
        ...

    def staging(self, path: Path, collection: str, *, dry: bool) -> AbstractContextManager[Database]:
        """Catalog and an empty staging together, the latter's tables in the schema `staged`; see `indexes.staging.open_staging`."""
        ...

    def drop_staging(self, path: Path, collection: str) -> None:
        """Remove what killed ingestions and plans of a collection have left staged. Whoever calls holds the collection.

        Args:
            path: as for `staging`.
        """
        ...

    def staged_schemas(self) -> list[str]:
        """Return the schemas in which the tenant's ingestions are staged at this moment, or were when they were killed."""
        ...

    def loaded(self, db: Connection) -> None:
        """Do what is needed once staged rows have been moved in, in the transaction that did it."""
        ...

    def claim(self, collection: str) -> AbstractContextManager[bool]:
        """Try to be the only one, on whichever machine, who ingests a collection; False where somebody else does."""
        ...

    def truncate_log(self) -> None:
        """Empty the log in which what was deleted a moment ago still stands, where that is cheap."""
        ...

    def close(self) -> None: ...


def open_backend(path: Path, *, tenant: str, url: str = "") -> CatalogBackend:
    """Return the database under a tenant's catalog. Nothing is opened or made yet.

    Args:
        path: where the file lies, if it is one.
        url: the setting `catalog_url`.
    Raises:
        ConfigError: the URL is malformed, or the tenant's name does not fit.
        DependencyMissing: the backend's package is not installed.
    """
    if url:
        from indexes.catalog_postgres import PostgresBackend

        return PostgresBackend(url, tenant)
    from indexes.catalog_sqlite import SqliteBackend

    return SqliteBackend(path)


@contextmanager
def faults(what: str) -> Iterator[None]:
    """Turn what a database raises into our errors.

    Args:
        what: "the catalog could not be" this.
    Raises:
        ConfigError: a text is not Unicode, or has a character that the database cannot hold.
        IndexBackendError: anything else: a full disk, a broken file, a server that is not there.
    """
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except DatabaseError as error:
        if "NUL (0x00)" in str(error.orig):
            raise ConfigError("a text holds the character U+0000, which PostgreSQL cannot store; remove it") from error
        raise IndexBackendError(f"the catalog could not be {what}: {error.orig or error}") from error
    except UnicodeEncodeError as error:
        raise ConfigError(f"{error.object!r} is not valid Unicode: it holds half of a surrogate pair") from error
