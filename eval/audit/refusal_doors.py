"""The doors that refuse, and what is written down of it: a refusal tells nothing, and the audit log repeats no text."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path
from typing import Any

from eval.audit.canaries import sung
from eval.audit.search_doors import any_words, chunk_ids
from eval.audit.trial import Door, ToolFailed, Trial
from indexes.errors import LoremillError

_TAIL_BYTES = 100_000


def deactivated(trial: Trial) -> None:
    """Who is deactivated is told nothing from the next request on, whatever the mill was handed before."""
    directory, held = trial.history.hand.directory, trial.history.held[trial.person.name]
    directory.deactivate(trial.person.name)
    try:
        outcomes = {
            outcome(trial.mill.search, "memo", collection=trial.collection, principal=held),
            outcome(trial.mill.ask, "What was signed?", collection=trial.collection, principal=held),
            outcome(trial.mill.documents, collection=trial.collection, principal=held),
            outcome(trial.mill.document, trial.any_document().document_id, collection=trial.collection, principal=held),
            outcome(trial.mill.collections, principal=held),
            outcome(trial.mill.memory.recall, "memo", principal=held),
            outcome(trial.mill.memory.list, principal=held),
            outcome(trial.mill.memory.get, "0" * 32, principal=held),
            outcome(trial.mill.memory.remember, "It was me.", principal=held),
            outcome(trial.mill.memory.forget, scope="user", principal=held),
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


def audit_log(trial: Trial) -> None:
    """The audit log says which chunks were seen, and repeats no text and no question."""
    query = any_words(trial)
    hits = trial.mill.search(query, collection=trial.collection, principal=trial.principal, top_k=5)
    trial.hear(hits, said=query)
    segment = log_of(trial)
    tail = tail_of(segment)
    seen = json.loads(tail.splitlines()[-1])
    trial.expect("who the log says has searched", seen["subject"], trial.person.subject)
    trial.expect("chunks in the log", [chunk["chunk_id"] for chunk in seen["chunks"]], chunk_ids(hits))
    beside = segment.with_suffix(".texts")  # where questions would lie
    trial.expect(
        "texts in the log", sung(tail + (tail_of(beside) if beside.exists() else b"")) & trial.world.texts, set()
    )


def log_of(trial: Trial) -> Path:
    """Return the segment of the audit log that is being written, of the person's tenant."""
    return max((trial.mill.home / "tenants" / trial.person.tenant / "audit").glob("*.jsonl"))


def tail_of(path: Path) -> bytes:
    """Return the end of a file."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, SEEK_END) - _TAIL_BYTES))
        return file.read()


def refusals(trial: Trial) -> None:
    """What is forbidden is refused as what never was, letter by letter; so is another tenant's collection."""
    readable = {one.document_id for one in trial.readable}
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
    except (LoremillError, ToolFailed) as error:
        return type(error).__name__, str(error)


def _describe(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.document(name, collection=place, principal=trial.principal)


def _surround(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.around(name, collection=place, principal=trial.principal)


def _delete(trial: Trial, name: str, place: str) -> Any:
    return trial.mill.delete_document(name, collection=place, principal=trial.principal)


def _filter(trial: Trial, name: str, place: str) -> Any:
    where = {"or": [{"document_id": name}, {"document_id": {"gte": name, "lte": name}}, {"mark": {"in": [name]}}]}
    return trial.mill.search("memo", collection=place, principal=trial.principal, where=where)


REFUSAL_DOORS: dict[str, tuple[Door, float]] = {
    "deactivated": (deactivated, 3),
    "other tenant": (other_tenant, 4),
    "audit log": (audit_log, 3),
    "refusals": (refusals, 2),
}
