"""Views of a SQLite file through plain connections of the driver, for the few statements in the path of every query.

After an embedding all of the processor's caches hold the model, so that a call costs what code it runs through: SQLAlchemy's connection, transaction
and result take four times as long as the driver's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.dialects import Sql
from indexes.errors import IndexBackendError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    View = sqlite3.Connection | Connection
    """What `fetch` can ask."""


class PlainViews:
    """Connections that only read, kept open between uses. Safe among threads: a view is one thread's while it has it."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """The file is opened at first use, and must be there by then."""
        self._path, self._timeout_s = path, timeout_s
        self._free: list[sqlite3.Connection] = []

    @contextmanager
    def view(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the database, however many statements it takes."""
        with self.connection() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection, each statement of which has a view of its own."""
        try:
            try:
                db = self._free.pop()
            except IndexError:
                db = self._open()
            try:
                yield db
            finally:
                self._free.append(db)
        except sqlite3.Error as error:
            raise IndexBackendError(f"{self._path} could not be read: {error}") from error

    def close(self) -> None:
        """Close what is not in use. Views may be taken again afterwards."""
        while self._free:
            self._free.pop().close()

    def _open(self) -> sqlite3.Connection:
        there = f"{self._path.absolute().as_uri()}?mode=rw"  # a plain path would make a new file where there is none
        db = sqlite3.connect(there, uri=True, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only=ON")
        return db


def fetch(view: View, statement: Sql | str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Return all rows as the driver gives them: JSON may be text, and booleans numbers."""
    if isinstance(view, sqlite3.Connection):
        return view.execute(statement if isinstance(statement, str) else statement.sqlite, parameters).fetchall()
    return list(
        view.exec_driver_sql(statement if isinstance(statement, str) else statement.on(view), tuple(parameters))
    )
