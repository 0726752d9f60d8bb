"""Leaves in a schema's tables and indexes in PostgreSQL only what is in the schema: no dead row, no stale page, no sample of a value.

A deleted row stays on its page until something else is written there, also after a plain VACUUM, which leaves the bytes in the gap. So each
table is written anew (VACUUM FULL), with its TOAST table and indexes. Rows that an old snapshot still sees would be carried over: those are
waited for first. The write-ahead log is no part of the promise; where it is permitted it is overwritten too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from indexes.catalog_backend import faults
from indexes.errors import Busy, IndexBackendError
from indexes.postgres_samples import keep_no_samples
from rag.erasure.compact import WAIT_S

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

ALWAYS: Final = "PostgreSQL: tables and indexes were written anew; archives of its log, replicas, backups and its messages are not looked at"
_LOG_KEPT: Final = "PostgreSQL's write-ahead log holds what was erased until the server has written over it; this role may not switch segments"
_LOG_HELD: Final = (
    "PostgreSQL keeps {count} older segments of its write-ahead log, for an archive, a replica or wal_keep_size"
)
_SAMPLES_KEPT: Final = (
    "samples that were taken of columns before may be left in pg_catalog.pg_statistic; the database's owner removes them with:"
    " VACUUM FULL pg_catalog.pg_statistic"
)
_LOCK_WAIT_MS: Final = 2000
"""Whoever comes after waits behind a waiting lock: so it is given up in between. Autovacuum gives way after one second."""
_BREATH_S: Final = 0.2
_MOST_SEGMENTS: Final = 128
_LOCKED: Final = ("55P03", "40P01")
"""lock_not_available, deadlock_detected."""
_FORBIDDEN: Final = "42501"

_OLD: Final = """
SELECT coalesce(nullif(application_name, ''), 'a connection') || ' (pid ' || pid || ')' FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND (age(backend_xid) > age(%(now)s::xid)
   OR (age(backend_xmin) > age(%(now)s::xid) AND (datname = current_database() OR datname IS NULL)
       AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)))
UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts WHERE age(transaction) > age(%(now)s::xid)
UNION ALL SELECT 'the replication slot ' || slot_name FROM pg_replication_slots
WHERE greatest(age(xmin), age(catalog_xmin)) > age(%(now)s::xid)
"""


def compact_postgres(engine: Engine, schema: str, *, wait_s: float = WAIT_S) -> tuple[str, ...]:
    """Write the schema's tables anew with all that belongs to them; return what is beyond that and stays.

    To be called after the deletes are committed. Each table in turn is locked against readers and writers while it is copied. It may be done
    again. Where the role may switch segments of the write-ahead log, as many are written as are kept for reuse: 80 MB to `max_wal_size`.

    Raises:
        Busy: somebody sees or uses the old state for longer than `wait_s`.
        IndexBackendError: the server has no room for a second copy, or this role does not own the tables.
    """
    with faults("compacted, run the same command again"), engine.connect() as db:
        db.execution_options(isolation_level="AUTOCOMMIT")
        db.detach()  # what is set here is nobody else's
        lock_ms = min(_LOCK_WAIT_MS, int(wait_s * 1000)) or 1
        db.exec_driver_sql(f"SET lock_timeout = {lock_ms}; SET statement_timeout = 0")
        _patiently(lambda: keep_no_samples(db, schema), wait_s, f"the schema {schema}")
        _await_old_views(db, wait_s)
        for table in _tables(db, schema):
            if not _write_anew(db, table, wait_s):
                raise IndexBackendError(f"{table} could not be written anew: the role must own the schema {schema!r}")
        samples = [] if _write_anew(db, "pg_catalog.pg_statistic", wait_s) else [_SAMPLES_KEPT]
        return (ALWAYS, *samples, *_overwrite_log(db))


def _tables(db: Connection, schema: str) -> list[str]:
    query = (
        "SELECT format('%%I.%%I', %(schema)s::text, relname) FROM pg_class"
        " WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND relkind IN ('r', 'm')"
        " ORDER BY relname"
    )
    return list(db.exec_driver_sql(query, {"schema": schema}).scalars())


def _write_anew(db: Connection, table: str, wait_s: float) -> bool:
    """Rewrite a table; False where the role may not, of which the server only warns."""

    def file() -> int:
        return int(db.exec_driver_sql("SELECT pg_relation_filenode(%s::regclass)", (table,)).scalar_one())

    before = file()
    _patiently(lambda: db.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}"), wait_s, table)
    return file() != before


def _await_old_views(db: Connection, wait_s: float) -> None:
    """Wait until nobody can see what was deleted before now."""
    deadline = time.monotonic() + wait_s
    now = db.exec_driver_sql("SELECT pg_current_xact_id()::xid::text").scalar_one()
    while holders := list(db.exec_driver_sql(_OLD, {"now": now}).scalars()):
        if time.monotonic() >= deadline:
            raise Busy(
                f"{', '.join(holders[:3])} still sees what was deleted, so it cannot be removed yet; end it, or run the same command"
                " again later"
            )
        time.sleep(_BREATH_S)


def _patiently(action: Callable[[], object], wait_s: float, what: str) -> None:
    """Do it, again while somebody holds a lock; readers and writers get through in between."""
    from sqlalchemy.exc import DBAPIError

    deadline = time.monotonic() + wait_s
    while True:
        try:
            action()
            return
        except DBAPIError as error:
            if sqlstate(error) not in _LOCKED:
                raise
            if time.monotonic() >= deadline:
                raise Busy(f"{what} is in use without end; run the same command again") from error
            time.sleep(_BREATH_S)


def _overwrite_log(db: Connection) -> list[str]:
    """Write over the segments that the log's past is in, and return what stays of it.

    A segment that is no longer needed is kept under the name of a later one, with all its bytes, until the log comes to it. A switch fills
    what is left of a segment with zeros.
    """
    from sqlalchemy.exc import DBAPIError

    def ask(query: str, *values: str) -> Any:
        return db.exec_driver_sql(query, values).scalar()

    current = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
    switch = "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'loremill', '')"
    try:
        old = ask(current)
        ask(switch)
        db.exec_driver_sql("CHECKPOINT")
        last = ask("SELECT max(name) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'")
        for _ in range(_MOST_SEGMENTS):
            if ask(current) > last:
                break
            ask(switch)
        db.exec_driver_sql("CHECKPOINT")
        held = ask("SELECT count(*) FROM pg_ls_waldir() WHERE name <= %s AND name ~ '^[0-9A-F]{24}$'", old)
    except DBAPIError as error:
        if sqlstate(error) != _FORBIDDEN:
            raise
        return [_LOG_KEPT]
    return [_LOG_HELD.format(count=held)] if held else []


def sqlstate(error: DBAPIError) -> str:
    """Return the five characters by which the server names an error, empty where it did not answer."""
    return getattr(error.orig, "sqlstate", None) or ""
