"""The few statements that SQLite and PostgreSQL spell differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_EACH = {
    "each_text(?)": "(SELECT one AS value FROM jsonb_array_elements_text(?::jsonb) AS one)",
    "each_number(?)": "(SELECT one::bigint AS value FROM jsonb_array_elements_text(?::jsonb) AS one)",
}


class Sql:
    """A statement for `exec_driver_sql`, written once: `?` are parameters, `each_text(?)` and `each_number(?)` the rows `value` of a JSON list.

    For the hot paths: to compose a statement costs more than it takes in SQLite. Write each table's alias, and quote what is a keyword.
    """

    __slots__ = ("postgresql", "sqlite")

    def __init__(self, text: str) -> None:
        self.sqlite = re.sub(r"each_(text|number)\(", "json_each(", text)
        for written, meant in _EACH.items():
            text = text.replace(written, meant)
        self.postgresql = text.replace("%", "%%").replace("?", "%s")

    def on(self, db: Connection) -> str:
        """Return the statement as the connection's database wants it."""
        return self.postgresql if db.dialect.name == "postgresql" else self.sqlite


def _insert(db: Connection, table: Table) -> Any:
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def insert_new(db: Connection, table: Table) -> Any:
    """INSERT that passes over rows whose key is there. A `from_select` must have a WHERE, be it `true()`: SQLite's grammar needs it."""
    return _insert(db, table).on_conflict_do_nothing()


def insert_or_replace(db: Connection, table: Table) -> Any:
    """INSERT that takes the place of rows with the same primary key, all columns of them, also those that are not given.

    As to `from_select`, see `insert_new`; it must not give one key twice.
    """
    statement = _insert(db, table)
    own = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    if not own:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=own)
