"""Does a collection hold what its source lists now? For `verify`: nothing is parsed, and little is read."""

from __future__ import annotations

from dataclasses import dataclass

from indexes import corpus
from indexes.batches import batched
from indexes.catalog import Catalog
from indexes.corpus import DocumentState
from indexes.errors import IngestError
from indexes.staging import QuarantineEntry
from ingest.prepare import source_hash
from ingest.scan import marked_id, unlisted_below
from ingest.sources import Source, SourceItem

_WINDOW = 256


@dataclass(frozen=True, slots=True)
class Differences:
    """Document ids: listed and not stored, listed in another version, stored and listed no more."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()


def differences(catalog: Catalog, collection: str, source: Source) -> Differences:
    """Compare a source with what is stored of it, by version marks; items whose mark is another one, or unknown, are read.

    Raises:
        IngestError: the source cannot be listed.
    """
    missing, changed, seen, unlisted = [], [], set(), []
    with catalog.read() as db:
        for items in batched(source.items(), _WINDOW):
            names = {item.document_id: marked_id(item.document_id, source.name) for item in items}
            stored = corpus.states(db, collection, [*names, *names.values()])
            refused = {entry.uri: entry for entry in corpus.quarantined(db, collection, uris=[i.uri for i in items])}
            for item in items:
                known = (stored.get(name) for name in (item.document_id, names[item.document_id]))
                own = next((state for state in known if state is not None and state.source == source.name), None)
                seen.add(item.document_id if own is None else own.document_id)
                entry = refused.get(item.uri)
                if own is None and entry is None:
                    missing.append(item.document_id)
                elif not _is_current(item, own, entry):
                    changed.append(item.document_id)
                if entry is not None and entry.stage == "read":  # a folder, perhaps, that could not be listed
                    unlisted.append(entry.document_id)
        below = unlisted_below(unlisted)
        surplus = [
            state.document_id
            for state in corpus.of_sources(db, collection, [source.name])
            if (state.parent or state.document_id) not in seen and not state.document_id.startswith(below)
        ]
    return Differences(tuple(missing), tuple(changed), tuple(surplus))


def _is_current(item: SourceItem, stored: DocumentState | None, refused: QuarantineEntry | None) -> bool:
    known = stored or refused
    assert known is not None
    if item.mark and known.mark == item.mark:
        return True
    try:
        return known.source_hash == source_hash(item, item.read())
    except IngestError:  # bad it is, and bad it was
        return refused is not None
