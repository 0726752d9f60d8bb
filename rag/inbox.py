"""Documents that programs hand over for later: kept on disk before the caller is told so, ingested by a worker process.

An ingestion is `queued`, then `running`, then `done` with a report or `failed` with an error. What was accepted survives
a stop of the server: it is queued again when the next one starts.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexes.catalog import Catalog
from indexes.catalog_file import now
from indexes.vocabulary import Principal, check_name


class Inbox:
    """The ingestions of one tenant."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        """Args: folder: of the tenant; payloads lie in `inbox/` below it."""
        self._catalog = catalog
        self._folder = folder / "inbox"

    def submit(self, documents: Sequence[Mapping[str, Any]], *, collection: str, principal: Principal) -> str:
        """Accept documents and return the ingestion's id; once it returns, a crash loses none of them.

        Args:
            documents: rows as `ingest.sources.PushedBatch` reads them.
        """
        from sqlalchemy import insert

        from indexes.tables import ingestions

        name = uuid.uuid4().hex
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{name}.tmp"
        with aside.open("w", encoding="utf-8") as file:
            for document in documents:
                file.write(json.dumps(document, ensure_ascii=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self.payload(name))
        row = {
            "id": name,
            "collection": check_name(collection, "collection"),
            "subject": principal.subject,
            "status": "queued",
            "created": now(),
        }
        with self._catalog.write() as db:
            db.execute(insert(ingestions), row)
        return name

    def payload(self, name: str) -> Path:
        """Where the documents of an ingestion wait."""
        return self._folder / f"{name}.jsonl"

    def status(self, name: str, *, principal: Principal) -> dict[str, Any] | None:
        """Return how an ingestion stands, None unless `principal` asked for it."""
        from sqlalchemy import select

        from indexes.tables import ingestions

        query = select(ingestions).where(ingestions.c.id == name, ingestions.c.subject == principal.subject)
        with self._catalog.read() as db:
            row = db.execute(query).first()
        if row is None or principal.tenant != self._catalog.tenant:
            return None
        return {name: value for name, value in row._mapping.items() if name != "subject"}

    def next(self) -> tuple[str, str] | None:
        """Take the oldest queued ingestion: its id and collection. Two workers never take the same one."""
        from sqlalchemy import select, update

        from indexes.tables import ingestions

        oldest = select(ingestions.c.id).where(ingestions.c.status == "queued").order_by(ingestions.c.created).limit(1)
        take = (
            update(ingestions)
            .where(ingestions.c.id == oldest.scalar_subquery())
            .values(status="running")
            .returning(ingestions.c.id, ingestions.c.collection)
        )
        with self._catalog.write() as db:
            row = db.execute(take).first()
        return None if row is None else (row.id, row.collection)

    def requeue(self) -> int:
        """Queue again what was running when its server stopped; return how many."""
        from sqlalchemy import update

        from indexes.tables import ingestions

        again = update(ingestions).where(ingestions.c.status == "running").values(status="queued")
        with self._catalog.write() as db:
            return int(db.execute(again).rowcount)

    def close(
        self, name: str, *, report: Mapping[str, Any] | None = None, error: Mapping[str, str] | None = None
    ) -> None:
        """Write down how an ingestion ended, and drop its payload. One that has ended stays as it is."""
        from sqlalchemy import update

        from indexes.tables import ingestions

        values = {"status": "failed" if error else "done", "report": report, "error": error, "ended": now()}
        with self._catalog.write() as db:
            open_ = ingestions.c.ended.is_(None)
            db.execute(update(ingestions).where(ingestions.c.id == name, open_).values(**values))
        self.payload(name).unlink(missing_ok=True)
