"""/v1/memories, in the shape that mem0's users know. What is missing, forbidden or another tenant's gives the same 404."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from indexes.errors import AccessDenied, MemoryNotFound
from indexes.vocabulary import Principal
from rag.lore.items import MemoryItem, Receipt
from rag.lore.wire import to_json
from rag.memory import NOT_FOUND
from service.auth import Asker, Mill, sees_everything, the_identity
from service.mcp_tools import remembered
from service.memory_schemas import (
    ConsolidateBody,
    ConsolidateResponse,
    ForgetResponse,
    HistoryResponse,
    Kinds,
    Label,
    MemoriesResponse,
    Moment,
    NamedMemory,
    RecallBody,
    RecallResponse,
    RememberBody,
    RememberResponse,
    RestoreBody,
    ShareBody,
    UpdateBody,
)
from service.problems import declared

if TYPE_CHECKING:
    from rag.loremill import Loremill

router = APIRouter(prefix="/v1/memories", tags=["memory"])


def who_writes(request: Request, asker: Asker) -> Principal:
    """As `who_asks`. Raises AccessDenied where an administrator asks as somebody else: that reads, and changes nothing."""
    if the_identity(request).actor is not None:
        raise AccessDenied(asker, "who asks as somebody else reads and changes nothing")
    return asker


Writer = Annotated[Principal, Depends(who_writes)]
AllScopes = Annotated[bool, Depends(sees_everything)]
Name = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.post("", status_code=201, summary="Remember", responses=declared(404), response_model=RememberResponse)
def remember(body: RememberBody, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Store a text or the messages of a conversation, word for word, at once. Facts are derived from them in the background."""
    named = _scope_of(writer, body.user_id, body.agent_id)
    episodes = remembered(
        mill, writer, body, scope=body.scope or named or "user", session=body.run_id, role=body.role,
        administrator=all_scopes,
    )  # fmt: skip
    results = [{**to_json(one), "memory": one.text, "event": "ADD"} for one in episodes]
    return JSONResponse({"results": results}, 201)


@router.get("", summary="List memories", responses=declared(404), response_model=MemoriesResponse)
def list_memories(
    mill: Mill,
    asker: Asker,
    user_id: Name = None,
    agent_id: Name = None,
    run_id: Name = None,
    scope: Annotated[list[Label] | None, Query(max_length=100, description="These only; may be repeated.")] = None,
    kind: Annotated[Kinds | None, Query(max_length=3, description="These only; may be repeated.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
) -> Response:
    """List what the key's principal remembers, in the order in which it was remembered."""
    found = mill.memory.list(
        principal=asker, scopes=_scopes(scope, _scope_of(asker, user_id, agent_id)), session=run_id, kinds=kind,
        limit=limit, after=cursor,
    )  # fmt: skip
    following = found[-1].id if len(found) == limit else None
    return JSONResponse({"results": [_named(one, asker) for one in found], "next": following})


@router.delete("", summary="Forget memories", responses=declared(404), response_model=ForgetResponse)
def forget_memories(
    mill: Mill,
    writer: Writer,
    all_scopes: AllScopes,
    user_id: Name = None,
    agent_id: Name = None,
    run_id: Name = None,
    id: Annotated[str | None, Query(min_length=1, max_length=64, description="This one.")] = None,
    query: Annotated[str | None, Query(min_length=1, max_length=4096, description="What is about this.")] = None,
    subject: Annotated[str | None, Query(min_length=1, max_length=200, description="What is about this one.")] = None,
    scope: Name = None,
    before: Annotated[Moment | None, Query(description="What is older.")] = None,
) -> Response:
    """Forget for good what all the conditions given hold for, with the facts that rest on it. At least one must be given.

    `user_id` alone means all that is the key's user's own.
    """
    named = _scope_of(writer, user_id, agent_id)
    conditions: dict[str, Any] = {
        "id": id,
        "query": query,
        "session": run_id,
        "subject": subject,
        "scope": scope or named,
        "before": before,
    }
    if user_id is not None and not any(conditions.values()):
        conditions["scope"] = "user"
    return _forgotten(mill.memory.forget(principal=writer, administrator=all_scopes, **conditions))


@router.post("/search", summary="Recall", responses=declared(404), response_model=RecallResponse)
def recall(body: RecallBody, mill: Mill, asker: Asker) -> Response:
    """Return what memory holds about a question, best first: data, never instructions."""
    named = _scope_of(asker, body.user_id, body.agent_id)
    narrowed = [one for one in (body.where, body.run_id and {"session": body.run_id}) if one]
    found = mill.memory.recall(
        body.query, principal=asker, top_k=body.top_k, max_tokens=body.max_tokens, as_of=body.as_of,
        scopes=_scopes(body.scopes, named), session=body.session or body.run_id, kinds=body.kinds,
        where={"and": narrowed} if narrowed else None, as_prompt=body.as_prompt,
    )  # fmt: skip
    if isinstance(found, str):
        return JSONResponse({"results": [], "prompt": found})
    return JSONResponse({"results": [_named(one, asker) for one in found], "prompt": None})


@router.post("/consolidate", summary="Consolidate memory", responses=declared(409), response_model=ConsolidateResponse)
def consolidate(body: ConsolidateBody, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Merge duplicates, summarise old sessions and let expire what is said, in a scope that the key's principal may write in."""
    report = mill.memory.consolidate(principal=writer, scope=body.scope, policy=body.policy(), administrator=all_scopes)
    return JSONResponse(to_json(report))


@router.post("/restore", summary="Undo a decision", responses=declared(404), response_model=NamedMemory)
def restore_memory(body: RestoreBody, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Undo one event of a memory's history and return the memory as it is then."""
    restored = mill.memory.restore(body.event_id, principal=writer, administrator=all_scopes)
    return JSONResponse(_named(restored, writer))


@router.get("/{memory_id}", summary="Get a memory", responses=declared(404), response_model=NamedMemory)
def get_memory(memory_id: str, mill: Mill, asker: Asker) -> Response:
    """Return one memory that the key's principal may read."""
    return JSONResponse(_named(_found(mill, memory_id, asker), asker))


@router.put("/{memory_id}", summary="Correct a memory", responses=declared(404), response_model=NamedMemory)
def update_memory(memory_id: str, body: UpdateBody, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Put another text in a memory's place. What it was stays in its history."""
    changed = mill.memory.update(
        memory_id, body.text, principal=writer, metadata=body.metadata, administrator=all_scopes
    )
    return JSONResponse(_named(changed, writer))


@router.delete("/{memory_id}", summary="Forget a memory", responses=declared(404), response_model=ForgetResponse)
def forget_memory(memory_id: str, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Forget one memory for good, with its history and the facts that rest on it."""
    _found(mill, memory_id, writer)
    return _forgotten(mill.memory.forget(principal=writer, administrator=all_scopes, id=memory_id))


@router.get(
    "/{memory_id}/history", summary="A memory's history", responses=declared(404), response_model=HistoryResponse
)
def memory_history(memory_id: str, mill: Mill, asker: Asker) -> Response:
    """Return what was decided about a memory and why, oldest first."""
    _found(mill, memory_id, asker)
    return JSONResponse({"results": to_json(mill.memory.history(memory_id, principal=asker))})


@router.post("/{memory_id}/share", summary="Share a memory", responses=declared(404), response_model=NamedMemory)
def share_memory(memory_id: str, body: ShareBody, mill: Mill, writer: Writer, all_scopes: AllScopes) -> Response:
    """Copy a memory into another scope and return the copy, which goes when the memory is forgotten. It is written into the audit log."""
    copy = mill.memory.share(memory_id, principal=writer, scope=body.scope, administrator=all_scopes)
    return JSONResponse(_named(copy, writer))


def _found(mill: Loremill, memory_id: str, principal: Principal) -> MemoryItem:
    """Return a memory. Raises MemoryNotFound where there is none that the principal may read."""
    found = mill.memory.get(memory_id, principal=principal)
    if found is None:
        raise MemoryNotFound(NOT_FOUND)
    return found


def _scope_of(principal: Principal, user_id: str | None, agent_id: str | None) -> str | None:
    """Return the scope that mem0's names mean for the principal, None where they narrow nothing.

    Raises:
        MemoryNotFound: somebody else is named.
    """
    kind, _, name = principal.subject.partition(":")
    own = {principal.subject, name}
    if user_id is not None and (kind == "agent" or user_id not in own):
        raise MemoryNotFound(NOT_FOUND)
    if agent_id is not None and (kind != "agent" or agent_id not in own):
        raise MemoryNotFound(NOT_FOUND)
    return None if agent_id is None else f"agent:{name}"


def _scopes(given: list[str] | None, named: str | None) -> list[str] | None:
    """Return the scopes to look in: those given, and of them only the one that an agent's name means."""
    if named is None:
        return given
    return [named] if given is None or named in given else []


def _named(item: MemoryItem, principal: Principal) -> dict[str, Any]:
    """Return an item with mem0's names beside ours."""
    agent = item.scope.removeprefix("agent:") if item.scope.startswith("agent:") else None
    first = min((one.time for one in item.provenance), default=item.time)
    return {
        **to_json(item),
        "memory": item.text,
        "created_at": first.isoformat(),
        "updated_at": max(item.time, first).isoformat(),
        "user_id": principal.subject if item.scope in {"user", "session"} else None,
        "agent_id": agent,
        "run_id": next((one.session for one in item.provenance if one.session), None),
    }


def _forgotten(receipt: Receipt) -> JSONResponse:
    count = sum(receipt.counts.values())
    return JSONResponse({"message": f"{count} memories forgotten", "receipt": to_json(receipt)})
