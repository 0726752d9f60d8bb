"""The doors that name documents and collections: each shows what may be read, and to others it is as if it never was."""

from __future__ import annotations

from eval.audit.search_doors import ALL
from eval.audit.trial import Door, Trial
from eval.audit.world import Document, Person


def listing(trial: Trial) -> None:
    """Page by page, the listing is what may be read."""
    limit, after = trial.rng.randint(1, 5), None
    listed: list[str] = []
    while page := trial.mill.documents(
        collection=trial.collection, principal=trial.principal, limit=limit, after=after
    ):
        trial.hear(page)
        listed += [info.document_id for info in page]
        after = listed[-1]
    trial.expect("documents listed", listed, sorted(one.document_id for one in trial.readable))


def document(trial: Trial) -> None:
    """A document is described to who may read it; to others it is as if it never was."""
    asked = trial.any_document()
    info = trial.mill.document(asked.document_id, collection=trial.collection, principal=trial.principal)
    trial.hear(info, said=asked.document_id)
    wanted = asked.document_id in {one.document_id for one in trial.readable}
    trial.expect(f"document {asked.document_id} described", info is not None, wanted)


def around(trial: Trial) -> None:
    """What stands around a chunk is shown to who may read it; a forbidden chunk has no surroundings."""
    asked = trial.any_document()
    reader = _reader_of(trial, asked)
    if reader is None:
        return
    hits = trial.mill.search(
        asked.title, collection=asked.collection, principal=trial.mill.directory.resolve(reader.name), top_k=ALL
    )
    chunk = trial.rng.choice([hit.chunk_id for hit in hits if hit.document_id == asked.document_id])
    found = trial.mill.around(
        chunk, collection=trial.collection, principal=trial.principal, before=ALL, after=ALL,
        levels_up=trial.rng.choice([None, None, 0, 5]),
    )  # fmt: skip
    trial.hear(found)
    trial.expect(f"surroundings of {asked.document_id}", bool(found), asked.key in {one.key for one in trial.readable})


def collections(trial: Trial) -> None:
    """The collections are those in which something may be read."""
    found = trial.mill.collections(principal=trial.principal)
    trial.hear(found)
    trial.expect("collections", set(found), {one.collection for one in trial.world.readable(trial.person)})


def _reader_of(trial: Trial, document: Document) -> Person | None:
    return next((one for one in trial.world.people if document.key in {d.key for d in trial.world.readable(one)}), None)


LISTING_DOORS: dict[str, tuple[Door, float]] = {
    "documents": (listing, 10),
    "document": (document, 12),
    "around": (around, 6),
    "collections": (collections, 8),
}
