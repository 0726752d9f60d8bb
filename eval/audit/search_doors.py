"""The doors of search: what is found must equal what may be read and matches.

That finds a filter missing inside a backend even though the last look at the catalog hides what it let through, for then fewer
results are left; and it finds wrongful refusals.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from eval.audit.canaries import sung
from eval.audit.trial import Door, Trial
from eval.audit.world import Document
from indexes.errors import ReleaseNotFound
from indexes.vocabulary import Hit

ALL = 1000

_Meant = tuple[dict[str, Any], Callable[[Document], bool]]
"""A filter, and which documents it means."""


def search_lexical(trial: Trial) -> None:
    """A word finds the readable documents that hold it."""
    word = _word(trial)
    _search(trial, word, "lexical", [one for one in trial.readable if word in one.words])


def search_dense(trial: Trial) -> None:
    """Any words find every readable document, some nearer, some farther."""
    _search(trial, any_words(trial), "dense", trial.readable)


def search_hybrid(trial: Trial) -> None:
    """As dense, for every chunk has a vector."""
    _search(trial, any_words(trial), "hybrid", trial.readable)


def search_where(trial: Trial) -> None:
    """A filter on metadata narrows what may be read and never replaces it, whatever its operators."""
    (one, passes_one), (other, passes_other) = _condition(trial), _condition(trial)
    kinds: list[_Meant] = [
        (one, passes_one),
        ({"not": one}, lambda document: not passes_one(document)),
        ({"or": [one, other]}, lambda document: passes_one(document) or passes_other(document)),
        ({"and": [one, other]}, lambda document: passes_one(document) and passes_other(document)),
    ]
    where, passes = trial.rng.choice(kinds)
    found = [document for document in trial.readable if passes(document)]
    _search(trial, any_words(trial), trial.rng.choice(["dense", "hybrid"]), found, where=where)


def _condition(trial: Trial) -> _Meant:
    """Return a condition about a value that some document has, readable or not, and what it means."""
    document = trial.any_document()
    key = trial.rng.choice(["topic", "mark", "document_id"])
    wanted = _field(document, key)
    name = trial.rng.choice([*_COMPARE, "in", ""])
    short: dict[str, Any] = {"": {key: wanted}, "in": {key: {"in": [trial.never(), wanted]}}}
    compare = _COMPARE.get(name, _COMPARE["eq"])
    return short.get(name, {key: {name: wanted}}), lambda one: compare(_field(one, key), wanted)


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip


def _field(document: Document, key: str) -> str:
    return document.document_id if key == "document_id" else document.metadata[key]


def search_candidate(trial: Trial) -> None:
    """A release that is not live finds what may be read of it: its own chunks, the rights of now. One of before finds nothing else.

    A release of elsewhere is refused as one that never was.
    """
    mill = trial.mill
    shelf: dict[str, Any] = {"collection": trial.collection, "tenant": trial.person.tenant}
    before = mill.releases(**shelf)
    candidate = mill.create_release(**shelf, index={"chunk_tokens": trial.rng.choice([16, 32])})
    _search(trial, any_words(trial), "dense", trial.readable, release=candidate.id)
    readable = {one.document_id for one in trial.readable}
    asked: dict[str, Any] = {"collection": trial.collection, "principal": trial.principal, "top_k": ALL}
    query, older = any_words(trial), trial.rng.choice(before).id
    try:
        found = mill.search(query, release=older, **asked)
    except ReleaseNotFound:  # its build is not kept any more
        found = []
    trial.hear(found, said=query)
    trial.expect(f"found by release {older} beyond what may be read", _found(found) - readable, set())
    here = {one.id for one in mill.releases(**shelf)}
    strange = [one.id for one in mill.releases() if one.id not in here]
    words = set()
    for name in (trial.rng.choice(strange or [trial.never()]), trial.never()):
        try:
            trial.hear(mill.search(query, release=name, **asked), said=query)
            trial.wrong.append(f"release {name} of elsewhere was searched")
        except ReleaseNotFound as error:
            words.add(str(error).replace(name, "ID"))
    trial.expect("wordings of refusal", len(words), 1)


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


def _search(trial: Trial, query: str, mode: str, wanted: list[Document], **more: Any) -> None:
    """Search with room for everything and with little room: the first must find all that is wanted, the second its head."""
    asked = {"collection": trial.collection, "principal": trial.principal, "mode": mode, **more}
    found = trial.mill.search(query, top_k=ALL, **asked)
    trial.hear(found, said=(query, more))
    trial.expect(f"{mode} search for {query!r} {more}", _found(found), {one.document_id for one in wanted})
    few = trial.rng.randint(1, 5)
    head = trial.mill.search(query, top_k=few, **asked)
    trial.hear(head, said=(query, more))
    trial.expect(f"head of {few} for {query!r} {more}", chunk_ids(head), chunk_ids(found)[:few])


def _found(hits: list[Hit]) -> set[str]:
    return {hit.document_id for hit in hits}


def chunk_ids(hits: list[Hit]) -> list[str]:
    return [hit.chunk_id for hit in hits]


def _word(trial: Trial) -> str:
    """Return a word to look for: one of a document's canaries, also of one that is forbidden or gone, or an ordinary one."""
    if trial.history.material.words and trial.rng.random() < 0.5:
        return trial.rng.choice(trial.history.material.words)
    document = trial.any_document()
    return trial.rng.choice(sorted(sung((document.title, document.paragraphs))))


def any_words(trial: Trial) -> str:
    """Return some words in a row of any document. Few, for a query costs what its words cost to embed."""
    words = trial.rng.choice(trial.any_document().paragraphs).split()
    start = trial.rng.randrange(max(1, len(words) - 3))
    return " ".join(words[start : start + 3])


SEARCH_DOORS: dict[str, tuple[Door, float]] = {
    "search lexical": (search_lexical, 24),
    "search dense": (search_dense, 14),
    "search hybrid": (search_hybrid, 14),
    "search where": (search_where, 10),
    "search candidate": (search_candidate, 1),
    "scores": (scores, 6),
}
