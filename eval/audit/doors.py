"""The doors of the facade: each a function that asks as one person and lets the trial judge everything that comes out.

A set of results must equal the brute-force set where it can be computed. That finds a filter missing inside a backend even though
the last look at the catalog hides what it let through, for then fewer results are left; and it finds wrongful refusals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from eval.audit.answer_doors import ANSWER_DOORS
from eval.audit.canaries import sung
from eval.audit.trial import Trial
from eval.audit.world import Document, Person
from indexes.errors import LoremillError
from indexes.vocabulary import Hit

Door = Callable[[Trial], None]
ALL = 1000


def search_lexical(trial: Trial) -> None:
    """A word finds the readable documents that hold it."""
    word = _word(trial)
    _search(trial, word, "lexical", [one for one in trial.readable if word in one.words])


def search_dense(trial: Trial) -> None:
    """Any sentence finds every readable document, some nearer, some farther."""
    _search(trial, _sentence(trial), "dense", trial.readable)


def search_hybrid(trial: Trial) -> None:
    """As dense, for every chunk has a vector."""
    _search(trial, _sentence(trial), "hybrid", trial.readable)


def search_where(trial: Trial) -> None:
    """A filter on metadata narrows what may be read and never replaces it."""
    document = trial.any_document()
    key, value = trial.rng.choice(
        [
            ("topic", document.metadata["topic"]),
            ("mark", document.metadata["mark"]),
            ("document_id", document.document_id),
        ]
    )
    found = [one for one in trial.readable if {**one.metadata, "document_id": one.document_id}[key] == value]
    mode = trial.rng.choice(["dense", "hybrid"])
    _search(trial, _sentence(trial), mode, found, where={key: value})


def scores(trial: Trial) -> None:
    """A score tells nothing of what is forbidden: how rare a term is, is counted among the readable chunks alone.

    Two people's scores of the same chunk must stand to each other as their idf do.
    """
    word = trial.rng.choice(trial.history.material.words or (_word(trial),))
    other = trial.rng.choice([one for one in trial.world.people if one.tenant == trial.person.tenant])
    found = {}
    for person in (trial.person, other):
        principal = trial.mill.directory.resolve(person.name)
        hits = trial.mill.search(word, collection=trial.collection, principal=principal, top_k=ALL, mode="lexical")
        every = trial.mill.search(word, collection=trial.collection, principal=principal, top_k=ALL, mode="dense")
        trial.hear((hits, every), said=word, person=person)
        found[person] = {hit.chunk_id: hit.score / idf(len(every), len(hits)) for hit in hits}
    ours, theirs = found[trial.person], found[other]
    for chunk in ours.keys() & theirs.keys():
        same = math.isclose(ours[chunk], theirs[chunk], rel_tol=1e-3)
        trial.expect(f"scores of {word!r} over idf for {other.name}", same, True)


def idf(chunks: int, holding: int) -> float:
    """BM25's, of a term that `holding` of `chunks` hold. Source: Robertson and Zaragoza 2009."""
    return math.log(1 + (chunks - holding + 0.5) / (holding + 0.5))


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
    trial.expect("documents listed", listed, _ids(trial.readable, sorted))


def document(trial: Trial) -> None:
    """A document is described to who may read it; to others it is as if it never was."""
    asked = trial.any_document()
    info = trial.mill.document(asked.document_id, collection=trial.collection, principal=trial.principal)
    trial.hear(info, said=asked.document_id)
    wanted = asked.document_id in _ids(trial.readable, set)
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


def deactivated(trial: Trial) -> None:
    """Who is deactivated is told nothing from the next request on, whatever the mill was handed before."""
    directory, held = trial.mill.directory, trial.history.held[trial.person.name]
    directory.deactivate(trial.person.name)
    try:
        outcomes = {
            outcome(trial.mill.search, "memo", collection=trial.collection, principal=held),
            outcome(trial.mill.ask, "What was signed?", collection=trial.collection, principal=held),
            outcome(trial.mill.documents, collection=trial.collection, principal=held),
            outcome(trial.mill.document, trial.any_document().document_id, collection=trial.collection, principal=held),
            outcome(trial.mill.collections, principal=held),
        }
    finally:
        directory.activate(trial.person.name)
    trial.hear(outcomes, said=trial.collection)
    trial.expect("outcomes of a deactivated person", {kind for kind, _ in outcomes}, {"AccessDenied"})


def other_tenant(trial: Trial) -> None:
    """Another tenant's rooms refuse a stranger with the same words whether the collection exists or not."""
    shelf = trial.rng.choice([one for one in trial.history.shelves if one.tenant != trial.person.tenant])
    rooms = trial.mill._tenant(shelf.tenant)
    refused = {outcome(rooms.catalog.access, trial.principal)}
    for name in (shelf.collection, trial.never()):
        refused.add(outcome(rooms.retriever.search, "memo", collection=name, principal=trial.principal))
    trial.hear(refused)
    trial.expect("kinds of refusal", {kind for kind, _ in refused}, {"AccessDenied"})
    trial.expect("wordings of refusal", len(refused), 1)


def refusals(trial: Trial) -> None:
    """What is forbidden is refused as what never was, letter by letter; so is another tenant's collection."""
    readable = _ids(trial.readable, set)
    hidden = trial.rng.choice(
        [one.document_id for one in trial.world.forbidden(trial.person) if one.document_id not in readable]
    )
    strange = trial.rng.choice([one.collection for one in trial.history.shelves if one.tenant != trial.person.tenant])
    known = strange in trial.history.collections(trial.person.tenant)
    for collection, never in ((trial.collection, trial.collection), (strange, strange if known else trial.never())):
        for request in (_describe, _surround, _delete, _filter):
            outcomes = []
            for name, place in ((hidden, collection), (trial.never(), never)):
                kind, words = outcome(request, trial, name, place)
                trial.hear(words, said=(name, place))
                outcomes.append((kind, words.replace(name, "ID").replace(place, "COLLECTION")))
            trial.expect(f"{request.__name__} {hidden} in {collection}", outcomes[0], outcomes[1])


def outcome(do: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, str]:
    """Return what came of a call: the class and the words of the error, or `done` and the result."""
    try:
        return "done", repr(do(*arguments, **more))
    except LoremillError as error:
        return type(error).__name__, str(error)


def _describe(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.document(name, collection=place, principal=trial.principal)


def _surround(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.around(name, collection=place, principal=trial.principal)


def _delete(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.delete_document(name, collection=place, principal=trial.principal)


def _filter(trial: Trial, name: str, place: str) -> Any:
    where = {"document_id": name}
    return trial.mill.search("memo", collection=place, principal=trial.principal, where=where)


def _search(trial: Trial, query: str, mode: str, wanted: list[Document], **more: Any) -> None:
    """Search with room for everything and with little room: the first must find all that is wanted, the second its head."""
    asked = {"collection": trial.collection, "principal": trial.principal, "mode": mode, **more}
    found = trial.mill.search(query, top_k=ALL, **asked)
    trial.hear(found, said=(query, more))
    trial.expect(f"{mode} search for {query!r} {more}", _found(found), _ids(wanted, set))
    few = trial.rng.randint(1, 5)
    head = trial.mill.search(query, top_k=few, **asked)
    trial.hear(head, said=(query, more))
    trial.expect(f"head of {few} for {query!r} {more}", _names(head), _names(found)[:few])


def _found(hits: list[Hit]) -> set[str]:
    return {hit.document_id for hit in hits}


def _names(hits: list[Hit]) -> list[str]:
    return [hit.chunk_id for hit in hits]


def _ids(documents: list[Document], kind: Callable[[list[str]], Any]) -> Any:
    return kind([one.document_id for one in documents])


def _word(trial: Trial) -> str:
    """Return a word to look for: one of a document's canaries, also of one that is forbidden or gone, or an ordinary one."""
    if trial.history.material.words and trial.rng.random() < 0.5:
        return trial.rng.choice(trial.history.material.words)
    document = trial.any_document()
    return trial.rng.choice(sorted(sung((document.title, document.paragraphs))))


def _sentence(trial: Trial) -> str:
    return trial.rng.choice(trial.any_document().paragraphs)


def _reader_of(trial: Trial, document: Document) -> Person | None:
    return next((one for one in trial.world.people if document.key in {d.key for d in trial.world.readable(one)}), None)


DOORS: dict[str, tuple[Door, float]] = {
    "search lexical": (search_lexical, 20),
    "search dense": (search_dense, 12),
    "search hybrid": (search_hybrid, 12),
    "search where": (search_where, 10),
    "scores": (scores, 6),
    "documents": (listing, 8),
    "document": (document, 8),
    "around": (around, 6),
    "collections": (collections, 6),
    "deactivated": (deactivated, 3),
    "other tenant": (other_tenant, 3),
    "refusals": (refusals, 3),
    **ANSWER_DOORS,
}
"""Each door with its weight: cheap ones often, answers seldom."""
