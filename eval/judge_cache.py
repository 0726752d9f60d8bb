"""Replies of a judge kept on disk, so that the same question to the same judge is asked once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType

from indexes.errors import ConfigError

_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL, finish TEXT NOT NULL)"


class JudgeCache:
    """An SQLite file of replies by key; several processes may share it.

    What a judge wrote is kept as it was, good or bad: a rerun must not get another try at a verdict that did not please. That the server could not be
    reached, or refused, is no reply and is not kept.

    Raises:
        ConfigError: the file cannot be opened or is none of ours.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_TABLE)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"the judge's cache {self._path} cannot be used: {error}; remove it or name another file"
            ) from error

    def get(self, key: str) -> tuple[str, str] | None:
        """Return (reply, why it ended), or None."""
        row = self._db.execute("SELECT reply, finish FROM replies WHERE key = ?", (key,)).fetchone()
        return (row[0], row[1]) if row else None

    def put(self, key: str, reply: str, finish: str) -> None:
        """Keep a reply; the first one of a key stays."""
        self._db.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?)", (key, reply, finish))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> JudgeCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
