"""`RemoteLoremill.memory`: memory on a server, with the methods of `rag.memory.Memory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from indexes.errors import ConfigError, MemoryNotFound, ProviderError
from indexes.vocabulary import Principal
from rag.lore.items import Episode, MemoryEvent, MemoryItem, Receipt
from rag.lore.wire import from_json, to_json

if TYPE_CHECKING:
    from rag.lore.consolidate import ConsolidationReport, Policy

_T = TypeVar("_T")
Moment = datetime | str | None
Items = list[MemoryItem]  # inside the class, `list` is the method
Events = list[MemoryEvent]
Send = Callable[..., Mapping[str, Any]]


class RemoteMemory:
    """Memory of the token's principal. `principal` is accepted so that code runs against both, and ignored.

    Args:
        send: makes a request of method, path, `body` (JSON) and `params`; returns the answer's object, raises the server's error.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def remember(
        self,
        text: str | Sequence[Mapping[str, Any]],
        *,
        principal: Principal | None = None,
        scope: str = "user",
        session: str | None = None,
        speaker: str | None = None,
        time: Moment = None,
        metadata: Mapping[str, Any] | None = None,
        role: str = "user",
    ) -> Episode | list[Episode]:
        """Store a text or messages; arguments and errors as `Memory.remember`."""
        body = {
            "messages": text, "scope": scope, "session": session, "speaker": speaker, "time": time,
            "metadata": metadata, "role": role,
        }  # fmt: skip
        episodes = [_known(Episode, one) for one in _results(self._ask("POST", "", body))]
        if not isinstance(text, str):
            return episodes
        if len(episodes) != 1:
            raise ProviderError("the server's answer has not one episode: is this a Loremill server?")
        return episodes[0]

    def recall(
        self,
        query: str,
        *,
        principal: Principal | None = None,
        top_k: int = 10,
        max_tokens: int | None = None,
        as_of: Moment = None,
        scopes: Sequence[str] | None = None,
        session: str | None = None,
        kinds: Sequence[str] | None = None,
        as_prompt: bool = False,
        where: Mapping[str, Any] | None = None,
    ) -> Items | str:
        """Return what memory holds about a question; arguments and errors as `Memory.recall`."""
        body = {
            "query": query, "top_k": top_k, "max_tokens": max_tokens, "as_of": as_of, "scopes": scopes,
            "session": session, "kinds": kinds, "as_prompt": as_prompt, "where": where,
        }  # fmt: skip
        found = self._ask("POST", "/search", body)
        return str(found.get("prompt") or "") if as_prompt else _items(found)

    def get(self, id: str, *, principal: Principal | None = None) -> MemoryItem | None:
        """Return an item, None if there is none that the token's principal may read."""
        try:
            return _known(MemoryItem, self._ask("GET", _path(id)))
        except MemoryNotFound:
            return None

    def list(
        self,
        *,
        principal: Principal | None = None,
        scopes: Sequence[str] | None = None,
        session: str | None = None,
        kinds: Sequence[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Items:
        """Return items in the order in which they were remembered; arguments and errors as `Memory.list`."""
        if scopes is not None and not scopes:
            return []  # an empty list would not be sent, and would mean all
        asked = {"scope": scopes, "run_id": session, "kind": kinds, "limit": limit, "cursor": after}
        return _items(self._send("GET", "/v1/memories", params=_given(asked)))

    def update(
        self, id: str, text: str, *, principal: Principal | None = None, metadata: Mapping[str, Any] | None = None
    ) -> MemoryItem:
        """Put another text in an item's place; errors as `Memory.update`."""
        return _known(MemoryItem, self._ask("PUT", _path(id), {"text": text, "metadata": metadata}))

    def history(self, id: str, *, principal: Principal | None = None) -> Events:
        """Return what was decided about an item, oldest first; nothing where there is none that one may read."""
        try:
            return [_known(MemoryEvent, one) for one in _results(self._ask("GET", f"{_path(id)}/history"))]
        except MemoryNotFound:
            return []

    def restore(self, event_id: str, *, principal: Principal | None = None) -> MemoryItem:
        """Undo a decision; errors as `Memory.restore`."""
        return _known(MemoryItem, self._ask("POST", "/restore", {"event_id": event_id}))

    def share(self, id: str, *, scope: str, principal: Principal | None = None) -> MemoryItem:
        """Copy an item into another scope and return the copy; errors as `Memory.share`."""
        return _known(MemoryItem, self._ask("POST", f"{_path(id)}/share", {"scope": scope}))

    def forget(
        self,
        *,
        principal: Principal | None = None,
        id: str | None = None,
        query: str | None = None,
        session: str | None = None,
        subject: str | None = None,
        scope: str | None = None,
        before: Moment = None,
    ) -> Receipt:
        """Delete for good what all the conditions given hold for; errors as `Memory.forget`."""
        asked = {"id": id, "query": query, "run_id": session, "subject": subject, "scope": scope, "before": before}
        found = self._send("DELETE", "/v1/memories", params=_given(asked))
        return _known(Receipt, found.get("receipt"))

    def consolidate(
        self, *, principal: Principal | None = None, scope: str = "user", policy: Policy | None = None
    ) -> ConsolidationReport:
        """Tidy a scope; errors as `Memory.consolidate`. Of a policy, spans and `most_items` are sent."""
        from rag.lore.consolidate import ConsolidationReport

        body: dict[str, Any] = {"scope": scope}
        if policy is not None:
            spans = {"retention": policy.retention, "unused": policy.unused, "summarise_after": policy.summarise_after}
            body |= {
                f"{name}_days": None if span is None else span.total_seconds() / 86_400 for name, span in spans.items()
            }
            body["most_items"] = policy.most_items
        return _known(ConsolidationReport, self._send("POST", "/v1/memories/consolidate", body=body))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        sent = None if body is None else _given(body)
        return self._send(method, f"/v1/memories{path}", body=sent)


def _path(id: str) -> str:
    if not isinstance(id, str) or not id:
        raise ConfigError("the id is empty; take one that remember, recall or list returned")
    return f"/{quote(id, safe='')}"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) for name, value in values.items() if value is not None}


def _items(found: Mapping[str, Any]) -> Items:
    return [_known(MemoryItem, one) for one in _results(found)]


def _results(found: Mapping[str, Any]) -> list[Any]:
    results = found.get("results")
    if not isinstance(results, list):
        raise ProviderError("the server's answer has no list 'results': is this a Loremill server?")
    return results


def _known(kind: type[_T], data: Any) -> _T:
    try:
        return from_json(kind, data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ProviderError(f"the server's answer cannot be read: {error}") from error
