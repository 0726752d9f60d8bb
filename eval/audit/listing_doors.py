"""The doors that name documents and collections: each shows what may be read, and to others it is as if it never was."""

from __future__ import annotations

from typing import Any

from eval.audit.search_doors import ALL
from eval.audit.trial import Door, Trial
from eval.audit.world import Document, Person
from indexes.errors import ConfigError

_RATINGS = 20
"""That stay for later trials, in which rights are others."""


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


def ratings(trial: Trial) -> None:
    """An answer is rated by who may read what it cites, and shown to who may read that now, were it an administrator."""
    asked = trial.any_document()
    reader = _reader_of(trial, asked)
    if reader is None:
        return
    rater = trial.mill.directory.resolve(reader.name)
    shared: dict[str, Any] = {"collection": asked.collection, "principal": rater}
    hits = trial.mill.search(asked.title, top_k=ALL, **shared)
    chunk, text = trial.rng.choice([(hit.chunk_id, hit.text) for hit in hits if hit.document_id == asked.document_id])
    release = trial.mill.release("live", collection=asked.collection, tenant=reader.tenant).id
    told = {"question": "What?", "answer": text, "release": release, "citations": [chunk]}
    trial.mill.feedback(told, rating="down", **shared)
    found = trial.mill.ratings(principal=trial.principal, everyone=True)
    trial.hear(found, said=[one.collection for one in found])  # of these an administrator knows by the audit log, too
    own = told | {"release": trial.mill.release("live", collection=trial.collection, tenant=trial.person.tenant).id}
    accepted = True
    try:
        trial.mill.feedback(own, collection=trial.collection, principal=trial.principal, rating="up")
    except ConfigError as error:
        trial.hear(error, said=chunk)
        accepted = False
    trial.expect(f"{asked.document_id} rated", accepted, asked.key in {one.key for one in trial.readable})
    for old in found[:-_RATINGS]:
        trial.mill.delete_rating(old.id, principal=trial.principal, everyone=True)


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
    "ratings": (ratings, 4),
}
