"""Erases what is known of ingestions: the records that a subject asked for, and what reports and waiting payloads say of documents."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.catalog import Catalog
from rag.erasure.target import Eraser, Found, Target, strings_in

if TYPE_CHECKING:
    from rag.fingerprints import Finder

_UNFINISHED = ("queued", "running")


class IngestionEraser(Eraser):
    """Of one tenant. `inbox` is the folder of payloads.

    A subject's records go once they have ended. One that has not is what the tenant waits for: it stays, and is nobody's.
    """

    def __init__(self, catalog: Catalog, inbox: Path) -> None:
        self._catalog = catalog
        self._inbox = inbox

    def find(self, target: Target) -> Found:
        strings: list[str | bytes] = []
        payloads = 0
        for _, _, dropped in self._payloads(target):
            payloads += len(dropped)
            for line in dropped:
                strings += [text for text in strings_in(_read(line)) if text]
        counts = {"ingestions": len(self._own(target)), "waiting_documents": payloads}
        return Found(counts | {"report_entries": len(self._changed_reports(target))}, tuple(strings))

    def erase(self, target: Target, _finder: Finder) -> None:
        from sqlalchemy import delete, update

        from indexes.tables import ingestions

        for path, kept, _ in self._payloads(target):
            aside = path.with_name(f".{path.name}.tmp")
            aside.write_bytes(b"".join(kept))
            os.replace(aside, path)
        reports, own = self._changed_reports(target), self._own(target)
        with self._catalog.write() as db:
            for name, values in reports.items():
                db.execute(update(ingestions).where(ingestions.c.id == name).values(**values))
            mine = ingestions.c.subject == target.subject
            unfinished = ingestions.c.status.in_(_UNFINISHED)
            if own:
                db.execute(delete(ingestions).where(mine, ~unfinished))
                db.execute(update(ingestions).where(mine).values(subject=""))

    def _own(self, target: Target) -> list[str]:
        from sqlalchemy import select

        from indexes.tables import ingestions

        if not target.subject:
            return []
        with self._catalog.read() as db:
            return list(db.execute(select(ingestions.c.id).where(ingestions.c.subject == target.subject)).scalars())

    def _payloads(self, target: Target) -> Iterator[tuple[Path, list[bytes], list[bytes]]]:
        """Yield the payloads that hold erased documents, with the lines that stay and those that go."""
        from sqlalchemy import select

        from indexes.tables import ingestions

        if not target.documents:
            return
        query = select(ingestions.c.id, ingestions.c.collection).where(ingestions.c.status.in_(_UNFINISHED))
        with self._catalog.read() as db:
            waiting = db.execute(query).all()
        for name, collection in waiting:
            path, ids = self._inbox / f"{name}.jsonl", {*target.ids(collection)}
            if not ids or not path.exists():
                continue
            lines = path.read_bytes().splitlines(keepends=True)
            dropped = [line for line in lines if _id_of(line) in ids]
            if dropped:
                yield path, [line for line in lines if line not in dropped], dropped

    def _changed_reports(self, target: Target) -> dict[str, dict[str, Any]]:
        """Return, by ingestion, what is to be written in place of a report or an error that speaks of erased documents."""
        from sqlalchemy import select

        from indexes.tables import ingestions

        uris = {(each.collection, name) for each in target.documents for name in (each.uri, each.document_id)}
        if not uris:
            return {}
        columns = (ingestions.c.id, ingestions.c.collection, ingestions.c.report, ingestions.c.error)
        changed: dict[str, dict[str, Any]] = {}
        with self._catalog.read() as db:
            for name, collection, report, error in db.execute(select(*columns)):
                here = {uri for of, uri in uris if of == collection}
                entries = report.get("quarantine", []) if isinstance(report, dict) else []
                stay = [entry for entry in entries if entry.get("uri") not in here]
                if len(stay) < len(entries):
                    changed[name] = {"report": {**report, "quarantine": stay}}
                if isinstance(error, dict) and any(uri in str(error.get("detail", "")) for uri in here):
                    changed.setdefault(name, {})["error"] = {**error, "detail": "erased"}
        return changed


def _read(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _id_of(line: bytes) -> object:
    row = _read(line)
    return row.get("document_id") if isinstance(row, dict) else None
