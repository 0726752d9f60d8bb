"""A catalog in one SQLite file in WAL mode; what is staged lies in a file beside, attached as `staged`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.catalog_backend import Database, Kind, faults
from indexes.errors import IndexBackendError
from indexes.plain_views import PlainViews

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from indexes.plain_views import View

LOCK_TIMEOUT_S = 60.0
_BEGINS: Mapping[Kind, str] = {  # the driver itself begins a transaction at the first write only
    "read": "BEGIN",
    "stage": "BEGIN",
    "write": "BEGIN IMMEDIATE",  # so that what is read there still holds when it is written
}


class SqliteBackend:
    """See `indexes.catalog_backend.CatalogBackend`."""

    schema: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        return str(self.path)

    @cached_property
    def engine(self) -> Engine:
        from sqlalchemy import create_engine, event

        engine = create_engine(f"sqlite:///{self.path}", connect_args={"timeout": LOCK_TIMEOUT_S})
        event.listen(engine, "connect", connect_pragmas)
        return engine

    @cached_property
    def database(self) -> Database:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return Database(self.engine, _BEGINS)

    @cached_property
    def _views(self) -> PlainViews:
        return PlainViews(self.path, timeout_s=LOCK_TIMEOUT_S)

    def look(self) -> AbstractContextManager[View]:
        return self._views.view()

    def exists(self) -> bool:
        return self.path.exists()

    def prepare(self, db: Connection) -> None:
        """Nothing: the tables are all there is."""

    def finish(self, db: Connection) -> None:
        """Nothing."""

    @contextmanager
    def staging(self, path: Path, collection: str, *, dry: bool) -> Iterator[Database]:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(2):
            engine = self._attached(path)
            try:
                with faults("made"), engine.begin() as db:
                    _empty(db)
                break
            except IndexBackendError:  # a machine that lost power may leave it torn
                engine.dispose()
                _remove(path)
                if attempt:
                    raise
        try:
            yield Database(engine, _BEGINS)
        except BaseException:
            engine.dispose()
            raise
        engine.dispose()
        _remove(path)

    def _attached(self, path: Path) -> Engine:
        from sqlalchemy import create_engine, event

        engine = create_engine(f"sqlite:///{self.path}", connect_args={"timeout": LOCK_TIMEOUT_S})
        event.listen(engine, "connect", lambda connection, _record: _attach(connection, path))
        return engine

    def drop_staging(self, path: Path, collection: str) -> None:
        for left in path.parent.glob("staging-*.db*"):  # of earlier versions of the schema too
            left.unlink()

    def staged_schemas(self) -> list[str]:
        return []

    def loaded(self, db: Connection) -> None:
        """Nothing: the indexes are used whatever is in the tables."""

    @contextmanager
    def claim(self, collection: str) -> Iterator[bool]:
        """The lock in the collection's folder is enough: only this machine has the file."""
        yield True

    def truncate_log(self) -> None:
        truncate_log(self.path)

    def close(self) -> None:
        if (engine := self.__dict__.get("engine")) is not None:
            engine.dispose()
        if (views := self.__dict__.get("_views")) is not None:
            views.close()


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


def truncate_log(path: Path, *, wait_s: float = 1.0) -> bool:
    """Empty a database's write-ahead log, where what was deleted a moment ago still stands; False while somebody reads an older state.

    Cost: a few milliseconds. What was deleted is overwritten then (`secure_delete`); `rag.erasure.compact` is for what must be certain.
    """
    database = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite3.OperationalError:
        return False
    finally:
        database.close()


def _attach(connection: Any, path: Path) -> None:
    connect_pragmas(connection, None)
    cursor = connection.cursor()
    cursor.execute("ATTACH DATABASE ? AS staged", (str(path),))
    cursor.execute("PRAGMA staged.journal_mode=WAL")
    cursor.execute("PRAGMA staged.synchronous=OFF")  # a kill loses nothing; what a power cut loses is made again
    cursor.close()


def _empty(db: Connection) -> None:
    """Make the tables of staging; of those an earlier run left, only the vectors are kept."""
    from indexes.tables import staged, staged_embeddings

    staged.create_all(db)
    for table in staged.sorted_tables:
        if table is not staged_embeddings:
            db.execute(table.delete())


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
