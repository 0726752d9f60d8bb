"""What `Catalog` is built on: a database opened at the present schema, read in consistent views, changed whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from indexes.access import Members
from indexes.catalog_backend import CatalogBackend, faults, open_backend
from indexes.errors import CollectionNotFound, IndexBackendError
from indexes.vocabulary import check_name

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from indexes.plain_views import View


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


class CatalogFile:
    """What `Catalog` is built on."""

    def __init__(self, backend: CatalogBackend, tenant: str, members: Members | None = None) -> None:
        self.backend = backend
        self._members = members
        self.tenant = tenant

    @classmethod
    def open(
        cls, path: Path, *, tenant: str, create: bool = True, members: Members | None = None, url: str = ""
    ) -> Self:
        """Open a tenant's catalog, making it if `create`.

        Args:
            path: of the SQLite file, where that is what it lies in.
            members: who is in which group; None takes principals as they state themselves.
            url: of the PostgreSQL database that it lies in instead; see `indexes.catalog_backend`.
        Raises:
            CollectionNotFound: the tenant has none, and `create` is False.
            IndexBackendError: it cannot be opened or was written by another version.
        """
        from sqlalchemy.exc import DatabaseError

        check_name(tenant, "tenant")
        backend = open_backend(path, tenant=tenant, url=url)
        try:
            if not create and not backend.exists():
                raise CollectionNotFound(
                    f"tenant {tenant!r} holds nothing here; run: loremill ingest SOURCE --tenant {tenant}"
                )
            _bring_up_to_date(backend)
        except DatabaseError as error:
            backend.close()
            raise IndexBackendError(f"the catalog {backend.place} cannot be opened: {error.orig or error}") from error
        except BaseException:
            backend.close()
            raise
        return cls(backend, tenant, members)

    def close(self) -> None:
        self.backend.close()

    @property
    def path(self) -> Path | None:
        """The database file, None where the database is a server's."""
        return self.backend.path

    @property
    def schema(self) -> str | None:
        """The tenant's schema, None where the tenant has a database to itself."""
        return self.backend.schema

    @property
    def engine(self) -> Engine:
        """Plain, for maintenance: no transaction of ours is begun, no schema is set."""
        return self.backend.engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database, however many statements it takes."""
        with faults("read"), self.backend.database.connect("read") as db:
            yield db

    def look(self) -> AbstractContextManager[View]:
        """As `read`, for the few statements in the path of every query; ask it with `fetch`."""
        return self.backend.look()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, the only one of the tenant. Whatever goes wrong, a full disk say: nothing of it is kept then."""
        with faults("written, nothing was changed"), self.backend.database.connect("write") as db:
            yield db
            db.commit()


def _bring_up_to_date(backend: CatalogBackend) -> None:
    """Make the tables, or add what those of an earlier version lack."""
    from sqlalchemy import inspect, select

    from indexes import tables
    from indexes.dialects import insert_new
    from indexes.migrations import migrate

    version = select(tables.state.c.value).where(tables.state.c.key == "schema")
    with backend.database.connect("read") as db:
        known = inspect(db).has_table(tables.state.name, schema=backend.schema)
        found = db.execute(version).scalar() if known else None
    if found == str(tables.SCHEMA_VERSION):
        return
    with backend.database.connect("write") as db:  # whoever comes second finds everything made
        if not known:
            backend.prepare(db)
            tables.metadata.create_all(db)
            row = {"key": "schema", "value": str(tables.SCHEMA_VERSION)}
            db.execute(insert_new(db, tables.state), row)
        if (found := db.execute(version).scalar()) != str(tables.SCHEMA_VERSION):
            migrate(db, found=found, place=backend.place)
        backend.finish(db)
        db.commit()
