"""The doors of HTTP for `loremill audit leaks`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from eval.audit import Door, Trial
from eval.audit.answer_doors import question_about
from eval.audit.canaries import sung
from eval.audit.search_doors import ALL, any_words
from eval.audit.world import Document
from service.audit_http import Http
from service.audit_memory import wire_doors

if TYPE_CHECKING:
    from rag.loremill import Loremill


def search(http: Http, trial: Trial) -> None:
    """What is found is what may be read."""
    query, mode = any_words(trial), trial.rng.choice(["dense", "hybrid"])
    body = {"query": query, "collection": trial.collection, "mode": mode, "top_k": ALL}
    found = http.ask(trial, "POST", "/v1/search", json=body).json
    trial.expect("documents found", {hit["document_id"] for hit in found["hits"]}, _ids(trial.readable))
    _expect_own_count(trial, found)


def where(http: Http, trial: Trial) -> None:
    """What only forbidden documents pass is answered as what none passes; what readable ones pass is found."""
    asked, never = trial.any_document(), trial.never()
    body = {"query": any_words(trial), "collection": trial.collection, "top_k": ALL}
    outcomes = []
    for mark in (asked.metadata["mark"], never):
        condition = {"or": [{"mark": {"gte": mark, "lte": mark}}, {"title": {"in": [mark]}}]}
        reply = http.ask(trial, "POST", "/v1/search", json=body | {"where": condition})
        outcomes.append({hit["document_id"] for hit in reply.json["hits"]})
        _expect_own_count(trial, reply.json)
    marked = [one for one in trial.readable if one.metadata["mark"] == asked.metadata["mark"]]
    trial.expect("documents that pass, and none", outcomes, [_ids(marked), set()])


def _expect_own_count(trial: Trial, found: Any) -> None:
    """What a reader is told of the plan is how many chunks are its own, and all of these were asked for."""
    trial.expect("plan", found["plan"], {"readable": len(found["hits"])})


def ask(http: Http, trial: Trial) -> None:
    """An answer, whole or as events, rests on what may be read."""
    body = {"question": question_about(trial)[1], "collection": trial.collection, "stream": trial.rng.random() < 0.5}
    trial.expect("status", http.ask(trial, "POST", "/v1/ask", json=body).status, 200)


def chat(http: Http, trial: Trial) -> None:
    """So does a completion, also with a revoked answer in the conversation before it."""
    said = trial.any_document().paragraphs[0]
    messages = [
        {"role": "user", "content": "What is new?"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": question_about(trial)[1]},
    ]
    question = {"model": trial.collection, "messages": messages[trial.rng.choice([0, 2]) :]}
    body = question | {"stream": trial.rng.random() < 0.5}
    trial.expect("status", http.ask(trial, "POST", "/v1/chat/completions", json=body).status, 200)


def models(http: Http, trial: Trial) -> None:
    """The models are the collections in which something may be read, and so are those with releases."""
    wanted = {one.collection for one in trial.world.readable(trial.person)}
    found = http.ask(trial, "GET", "/v1/models").json["data"]
    trial.expect("models", {one["id"] for one in found}, wanted)
    releases = http.ask(trial, "GET", "/v1/releases").json["releases"]
    trial.expect("collections with releases", {one["collection"] for one in releases}, wanted)


def documents(http: Http, trial: Trial) -> None:
    """Page by page the listing is what may be read, and a cursor tells of nothing else."""
    query: dict[str, Any] = {"collection": trial.collection, "limit": trial.rng.randint(1, 5)}
    listed: list[str] = []
    while True:
        page = http.ask(trial, "GET", "/v1/documents", params=query).json
        listed += [one["document_id"] for one in page["documents"]]
        if page["next"] is None:
            break
        trial.hear(base64.urlsafe_b64decode(page["next"]))
        query["cursor"] = page["next"]
    trial.expect("documents listed", listed, sorted(_ids(trial.readable)))


def document(http: Http, trial: Trial) -> None:
    """A forbidden document is refused as one that never was, to a reader and to who would change its rights or delete it."""
    asked = trial.any_document()
    readable = asked.document_id in _ids(trial.readable)
    requests = [("GET", "reader"), ("DELETE", "reader"), ("PATCH", "editor")]
    if not readable:  # who may read may also do these, with that role
        requests += [("DELETE", "editor"), ("PATCH", "curator")]
    for method, role in requests:
        body: dict[str, Any] = {"json": {"acl": {"allow": ["everyone"]}}} if method == "PATCH" else {}
        outcomes = []
        for name in (asked.document_id, trial.never()):
            response = http.ask(
                trial, method, f"/v1/documents/{name}", role=role, params={"collection": trial.collection}, **body
            )
            outcomes.append((response.status, response.text.replace(name, "ID")))
        allowed = readable and method == "GET"
        trial.expect(f"{method} of {asked.document_id} differs from never", outcomes[0] != outcomes[1], allowed)
    trial.expect("it stands", _stands(trial, asked), asked.key in trial.world.documents)


def reader_writes(http: Http, trial: Trial) -> None:
    """A reader's key puts nothing, at once or for later."""
    name, text = trial.never(), "It was put by a reader."
    one = {"document_id": name, "text": text, "acl": {"allow": ["everyone"]}}
    put = http.ask(trial, "POST", "/v1/documents", json={"collection": trial.collection, **one})
    later = http.ask(trial, "POST", "/v1/ingestions", json={"collection": trial.collection, "documents": [one]})
    trial.expect("statuses", (put.status, later.status), (403, 403))
    found = trial.mill.document(name, collection=trial.collection, principal=trial.principal)
    trial.expect("document put by a reader", found, None)


def act_as(http: Http, trial: Trial) -> None:
    """Who asks as somebody else finds what that one may read; only an administrator may, and only in the own tenant."""
    body = {"query": trial.any_document().title, "collection": trial.collection, "mode": "dense", "top_k": ALL}
    found = http.ask(trial, "POST", "/v1/search", role="administrator", act_as=trial.person.name, json=body)
    trial.expect("documents found as another", {hit["document_id"] for hit in found.json["hits"]}, _ids(trial.readable))
    stranger = trial.rng.choice([one.name for one in trial.world.people if one.tenant != trial.person.tenant])
    refused = {
        (reply.status, reply.text)
        for role, name in (
            ("administrator", stranger),
            ("administrator", trial.never()),
            ("curator", trial.person.name),
        )
        for reply in [http.ask(trial, "POST", "/v1/search", role=role, act_as=name, json=body)]
    }
    trial.expect("different refusals to act as another", len(refused), 1)
    trial.expect("statuses of these refusals", {status for status, _ in refused}, {403})


def audit(http: Http, trial: Trial) -> None:
    """The audit log is told to administrators, of their own tenant alone and without a word of any text."""
    trial.expect("status for a curator", http.ask(trial, "GET", "/v1/audit", role="curator").status, 403)
    lately = {"since": (datetime.now(UTC) - timedelta(seconds=20)).isoformat(), "limit": 1000}
    headers = http.headers(trial.person, "administrator")
    reply = http.anonymous("GET", "/v1/audit", headers=headers, params=lately)
    strange = {one.document_id for one in trial.world.documents.values() if one.tenant != trial.person.tenant}
    told = {chunk["document_id"] for event in reply.json["events"] for chunk in event["chunks"]}
    trial.expect("texts in the log", sung(reply.text) & trial.world.texts, set())
    trial.expect("other tenants' documents in the log", told & strange, set())


def ingestion(http: Http, trial: Trial) -> None:
    """How an ingestion stands is told to who submitted it; to others it never was."""
    other = trial.rng.choice([one for one in trial.world.people if one.subject != trial.person.subject])
    principal = trial.mill.directory.resolve(other.name)
    secret = {"document_id": trial.never(), "text": "Not yet.", "acl": {"allow": []}}
    name = trial.mill.inbox(other.tenant).submit([secret], collection=trial.collection, principal=principal)
    outcomes = [
        (response.status, response.text.replace(asked, "ID"))
        for asked in (name, trial.never())
        for response in [http.ask(trial, "GET", f"/v1/ingestions/{asked}", role="editor")]
    ]
    trial.expect("ingestion of somebody else", outcomes[0], outcomes[1])


def operators(http: Http, trial: Trial) -> None:
    """Metrics, health, and whatever is asked without a key or wrongly, tell of no document and no collection."""
    asked = trial.any_document()
    for path in ("/metrics", "/readyz", "/livez", "/openapi.json", f"/{trial.never()}"):
        response = http.anonymous("GET", path)
        trial.expect(f"canaries at {path}", sung((response.text, response.headers)) - sung(path), frozenset())
    for method, path, body in (
        ("GET", f"/v1/documents/{asked.document_id}?collection={asked.collection}", None),
        ("GET", "/v1/models", None),
        ("POST", "/v1/search", {"query": "memo", "collection": asked.collection}),
    ):
        response = http.anonymous(method, path, json=body)
        trial.expect(f"status of {path} without a key", response.status, 401)
        trial.expect(f"canaries at {path}", sung(response.text), frozenset())


def bad_requests(http: Http, trial: Trial) -> None:
    """An error's body repeats what was sent at most."""
    asked = trial.any_document()
    for body in (
        {"query": asked.title, "collection": trial.collection, "top_k": 0},
        {"query": asked.title, "collection": trial.collection, "principal": "halden/user:ann"},
        {"query": asked.title, "collection": trial.collection, "where": {'"': asked.metadata["mark"]}},
        {"query": asked.title, "collection": trial.collection, "where": {"mark": {"near": asked.metadata["mark"]}}},
        {"query": asked.title, "collection": trial.never()},
    ):
        refused = http.ask(trial, "POST", "/v1/search", json=body).status
        trial.expect(f"refused {body}", 400 <= refused < 500, True)


def _ids(readable: list[Document]) -> set[str]:
    return {one.document_id for one in readable}


def _stands(trial: Trial, asked: Document) -> bool:
    """Whether the mill still has the document, as far as anybody can tell."""
    readers = [one for one in trial.world.people if asked.key in {d.key for d in trial.world.readable(one)}]
    if not readers:
        return asked.key in trial.world.documents
    principal = trial.mill.directory.resolve(readers[0].name)
    return trial.mill.document(asked.document_id, collection=asked.collection, principal=principal) is not None


_DOORS: dict[str, tuple[Callable[[Http, Trial], None], float]] = {
    "http search": (search, 6),
    "http where": (where, 3),
    "http ask": (ask, 0.5),
    "http chat": (chat, 0.5),
    "http models": (models, 4),
    "http documents": (documents, 4),
    "http document": (document, 4),
    "http reader writes": (reader_writes, 2),
    "http act as": (act_as, 2),
    "http audit": (audit, 1),
    "http ingestion": (ingestion, 2),
    "http operators": (operators, 1),
    "http bad requests": (bad_requests, 1),
}


def http_doors(mill: Loremill) -> dict[str, tuple[Door, float]]:
    """Return the doors of the HTTP application over `mill`, of MCP and of the command line, each with its weight."""
    http = Http(mill)
    return {
        **{name: (partial(door, http), weight) for name, (door, weight) in _DOORS.items()},
        **wire_doors(mill, http),
    }
