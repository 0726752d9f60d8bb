"""The file under the directory, `HOME/directory.db`: opened at first use, read in consistent views, changed all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from indexes.errors import ConfigError, IndexBackendError
from indexes.plain_views import PlainViews, fetch

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LOCK_TIMEOUT_S = 30.0
Changed = Callable[[str, str, Mapping[str, Any]], None]


class DirectoryFile:
    """What `Directory` is built on. Safe among threads; processes see each other's changes at once."""

    def __init__(self, path: Path, *, changed: Changed | None = None) -> None:
        self._path = path
        self._changed = changed

    @classmethod
    def open(cls, home: Path, *, changed: Changed | None = None) -> Self:
        """Return the directory of `home`; the file is opened, and made if missing, at first use.

        Args:
            changed: told of each change after it holds, as (tenant, `directory` or `key`, what), for the audit log.
        """
        return cls(home.expanduser() / "directory.db", changed=changed)

    def _tell(self, tenant: str, kind: str, **what: Any) -> None:
        if self._changed is not None:
            self._changed(tenant, kind, what)

    def close(self) -> None:
        """Release the file. The directory may be used again afterwards."""
        engine: Engine | None = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.dispose()
        views: PlainViews | None = self.__dict__.pop("_views", None)
        if views is not None:
            views.close()

    def generation(self) -> int:
        """Return the number of the present state: it grows with each change of principals or memberships.

        Cost: one read of one row.
        """
        with self._views.connection() as db:  # one statement is one view
            return int(fetch(db, "SELECT value FROM generation")[0][0])

    @cached_property
    def _views(self) -> PlainViews:
        with self._translated():
            self._engine.connect().close()  # makes the file
        return PlainViews(self._path, timeout_s=LOCK_TIMEOUT_S)

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event

        from indexes.directory_tables import prepare

        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # the hashes are nobody else's business; SQLite gives its side files the same mode
        engine = create_engine(f"sqlite:///{self._path}", connect_args={"timeout": LOCK_TIMEOUT_S})

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        prepare(engine)
        return engine

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """One consistent view, however many statements it takes."""
        with self._translated(), self._engine.connect() as db:
            db.exec_driver_sql("BEGIN")  # the driver itself begins a transaction at the first write only
            yield db

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """One change: all of it, or nothing if it raises."""
        with self._translated(), self._engine.begin() as db:
            db.exec_driver_sql("BEGIN IMMEDIATE")  # so that what is read here still holds when it is written
            yield db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except UnicodeEncodeError as error:
            raise ConfigError("a name or secret is not valid Unicode text") from error
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise IndexBackendError(f"the directory {self._path.name} in the home cannot be used: {cause}") from error


def grow(db: Connection) -> None:
    """Note within a change of principals or memberships that there is one; what was worked out before is then stale."""
    db.exec_driver_sql("UPDATE generation SET value = value + 1")
