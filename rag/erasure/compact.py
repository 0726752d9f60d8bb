"""Leaves in a database's files only what is in the database: no free page, no stale page, no write-ahead log."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from indexes.catalog_sqlite import truncate_log
from indexes.errors import Busy, IndexBackendError

WAIT_S = 60.0


def compact(path: Path, *, wait_s: float = WAIT_S) -> None:
    """Write the database anew and empty its write-ahead log. Writers of any process wait meanwhile; nothing of theirs is lost.

    Every connection of a catalog has `secure_delete` on, so what is deleted is overwritten; VACUUM takes care of what SQLite moved between
    pages before.

    Raises:
        Busy: somebody reads an older state of it for longer than `wait_s`, so that the log cannot be emptied.
        IndexBackendError: the disk has no room for a second copy, or the database is damaged.
    """
    deadline = time.monotonic() + wait_s
    database = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("VACUUM")
    except sqlite3.OperationalError as error:
        raise IndexBackendError(f"{path} could not be compacted: {error}; run the same command again") from error
    finally:
        database.close()
    while not truncate_log(path, wait_s=min(1.0, wait_s)):
        if time.monotonic() >= deadline:
            raise Busy(f"{path} is being read without end, so its log cannot be emptied; run the same command again")
