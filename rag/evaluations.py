"""Evaluations of one tenant: what was asked for, how it stands, and the report.json of what has ended.

One that is asked for over HTTP is `queued`, `running`, then `done`, `failed` or `cancelled`; one from the command line is
written down when it is done. A stop of the server loses none: what was running is queued again. Reports hold figures,
question ids and principals, no text of any document.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexes.catalog import Catalog
from indexes.catalog_file import now
from indexes.errors import ConfigError

OPEN = ("queued", "running")


class Evaluations:
    """The evaluations of one tenant, kept in its catalog; the reports lie in its folder `evaluations/`."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder / "evaluations"

    def submit(
        self, kind: str, *, collection: str, asked: Mapping[str, Any], files: Mapping[str, str], subject: str
    ) -> str:
        """Queue an evaluation and return its id; once it returns, a crash does not lose it.

        Args:
            kind: `gate` or `run`.
            asked: plain JSON values; what the one who looks at it is told.
            files: texts by name, for `inputs`.
        """
        name = secrets.token_hex(8)
        self._write(self.inputs(name), files)
        self._insert(name, kind, collection, asked, subject, status="queued")
        return name

    def add(
        self,
        kind: str,
        *,
        collection: str,
        asked: Mapping[str, Any],
        summary: Mapping[str, Any],
        report: bytes,
        subject: str,
    ) -> str:
        """Write down an evaluation that has ended well, and return its id."""
        name = secrets.token_hex(8)
        self._keep(name, report)
        done = {"status": "done", "summary": dict(summary), "ended": now()}
        self._insert(name, kind, collection, asked, subject, **done)
        return name

    def list(
        self, *, collection: str | None = None, limit: int = 100, after: str | None = None
    ) -> list[dict[str, Any]]:
        """Return evaluations, the newest first.

        Args:
            after: id of the last one of the page before.
        Raises:
            ConfigError: there is none of that id.
        """
        from sqlalchemy import select

        from indexes.tables import evaluations

        query = select(evaluations).order_by(evaluations.c.seq.desc()).limit(limit)
        if collection is not None:
            query = query.where(evaluations.c.collection == collection)
        with self._catalog.read() as db:
            if after is not None:
                seq = db.execute(select(evaluations.c.seq).where(evaluations.c.id == after)).scalar()
                if seq is None:
                    raise ConfigError("no page begins there: give `next` of the page before")
                query = query.where(evaluations.c.seq < seq)
            return [_shown(row._mapping) for row in db.execute(query)]

    def status(self, name: str) -> dict[str, Any] | None:
        """Return how an evaluation stands; None where there is none of that id."""
        from sqlalchemy import select

        from indexes.tables import evaluations

        with self._catalog.read() as db:
            row = db.execute(select(evaluations).where(evaluations.c.id == name)).first()
        return None if row is None else _shown(row._mapping)

    def report(self, name: str) -> dict[str, Any] | None:
        """Return the report.json of an evaluation that is done; None where there is none."""
        if (self.status(name) or {}).get("status") != "done":  # also keeps a made-up id from being a path
            return None
        try:
            found: dict[str, Any] = json.loads(self._report(name).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def inputs(self, name: str) -> Path:
        """Where the files of an evaluation lie that has not ended."""
        return self._folder / f"{name}.inputs"

    # -- the worker's side -------------------------------------------------------------------------------------------

    def next(self) -> dict[str, Any] | None:
        """Take the oldest queued evaluation. Two workers never take the same one."""
        from sqlalchemy import select, update

        from indexes.tables import evaluations

        oldest = select(evaluations.c.seq).where(evaluations.c.status == "queued").order_by(evaluations.c.seq).limit(1)
        taken = update(evaluations).where(evaluations.c.seq == oldest.scalar_subquery()).values(status="running")
        with self._catalog.write() as db:
            row = db.execute(taken.returning(*evaluations.c)).first()
        return None if row is None else _shown(row._mapping)

    def requeue(self) -> int:
        """Queue again what was running when its server stopped; return how many."""
        from sqlalchemy import update

        from indexes.tables import evaluations

        again = update(evaluations).where(evaluations.c.status == "running").values(status="queued")
        with self._catalog.write() as db:
            return int(db.execute(again).rowcount)

    def close(
        self,
        name: str,
        *,
        summary: Mapping[str, Any] | None = None,
        report: bytes | None = None,
        error: Mapping[str, str] | None = None,
    ) -> bool:
        """Write down how an evaluation ended, and drop its inputs; False where it had ended before, and that stands."""
        if report is not None and (self.status(name) or {}).get("status") in OPEN:
            self._keep(name, report)
        status = "failed" if error else "done"
        closed = self._end(name, status=status, summary=None if summary is None else dict(summary), error=error)
        shutil.rmtree(self.inputs(name), ignore_errors=True)
        return closed

    def cancel(self, name: str) -> bool:
        """Take back an evaluation that has not ended; False where there is none."""
        cancelled = self._end(name, status="cancelled")
        if cancelled:
            shutil.rmtree(self.inputs(name), ignore_errors=True)
        return cancelled

    def delete(self, name: str) -> bool:
        """Remove an evaluation and its report, cancelling it where it has not ended; False where there is none."""
        from sqlalchemy import delete

        from indexes.tables import evaluations

        with self._catalog.write() as db:
            gone = int(db.execute(delete(evaluations).where(evaluations.c.id == name)).rowcount)
        if gone:
            self._report(name).unlink(missing_ok=True)
            shutil.rmtree(self.inputs(name), ignore_errors=True)
        return bool(gone)

    # -- how ---------------------------------------------------------------------------------------------------------

    def _insert(
        self, name: str, kind: str, collection: str, asked: Mapping[str, Any], subject: str, **more: Any
    ) -> None:
        from sqlalchemy import insert

        from indexes.tables import evaluations

        row = {"id": name, "kind": kind, "collection": collection, "asked": dict(asked), "subject": subject}
        with self._catalog.write() as db:
            db.execute(insert(evaluations), row | {"created": now()} | more)

    def _end(self, name: str, **values: Any) -> bool:
        from sqlalchemy import update

        from indexes.tables import evaluations

        open_ = (evaluations.c.id == name) & evaluations.c.status.in_(OPEN)
        with self._catalog.write() as db:
            return bool(db.execute(update(evaluations).where(open_).values(ended=now(), **values)).rowcount)

    def _report(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _keep(self, name: str, report: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{name}.tmp"
        _write_private(aside, report)
        os.replace(aside, self._report(name))

    def _write(self, folder: Path, files: Mapping[str, str]) -> None:
        folder.mkdir(parents=True)
        for name, text in files.items():
            _write_private(folder / name, text.encode())


def _write_private(path: Path, data: bytes) -> None:
    """Write and sync a file that its owner alone may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seq"}
