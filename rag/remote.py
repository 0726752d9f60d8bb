"""The same calls against a server: `Loremill.connect(url, token=...)`. The principal is the token's; none is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from indexes.errors import (
    AccessDenied,
    Busy,
    CollectionNotFound,
    ConfigError,
    DependencyMissing,
    LoremillError,
    MemoryNotFound,
    PromotionRefused,
    ProviderError,
    ReleaseNotFound,
    TooLarge,
    UnsupportedFilter,
)
from indexes.vocabulary import Hit, Principal
from rag.answer import Answer, AnswerSentence, Citation
from rag.generate import Usage

if TYPE_CHECKING:
    from rag.remote_memory import RemoteMemory

_T = TypeVar("_T")
_TOLD = (Busy, CollectionNotFound, MemoryNotFound, PromotionRefused, ReleaseNotFound, TooLarge, UnsupportedFilter)
"""Errors that a problem document tells by name."""


class RemoteLoremill:
    """A client of one server, for one token. `principal` is accepted so that code runs against both, and ignored."""

    def __init__(self, url: str, *, token: str, timeout_s: float = 120.0) -> None:
        try:
            import httpx
        except ImportError as error:
            raise DependencyMissing("httpx", extra="service") from error
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ConfigError("the token must be an API key as `loremill keys create` shows it")
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout_s)

    def search(
        self,
        query: str,
        *,
        collection: str,
        principal: Principal | None = None,
        top_k: int = 10,
        mode: str = "hybrid",
        where: Mapping[str, Any] | None = None,
        release: str | None = None,
    ) -> list[Hit]:
        """Return the best chunks that the token's principal may read; errors as `Loremill.search`."""
        body = {
            "query": query,
            "collection": collection,
            "top_k": top_k,
            "mode": mode,
            "where": where,
            "release": release,
        }
        found = self._post("/v1/search", {name: value for name, value in body.items() if value is not None})
        return [_known(Hit, hit) for hit in _list(found, "hits")]

    def ask(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal | None = None,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
        release: str | None = None,
    ) -> Answer:
        """Return an answer or an abstention; errors as `Loremill.ask`."""
        body = {
            "question": question,
            "collection": collection,
            "generator": generator,
            "history": history,
            "release": release,
        }
        return _answer(self._post("/v1/ask", {name: value for name, value in body.items() if value is not None}))

    def feedback(
        self,
        answer: Answer | Mapping[str, Any],
        *,
        collection: str,
        rating: str | int,
        principal: Principal | None = None,
        **said: Any,
    ) -> dict[str, Any]:
        """Rate an answer that the token's principal got, and return the rating's JSON; arguments and errors as `Loremill.feedback`."""
        told = answer.to_json() if isinstance(answer, Answer) else answer
        body = {name: told[name] for name in ("question", "answer", "release", "citations") if name in told}
        return self._post("/v1/feedback", {**body, "collection": collection, "rating": rating, **said})

    def releases(self, collection: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON of the releases that the token's principal may see, newest first; errors as `Loremill.releases`."""
        found = self._get("/v1/releases", {} if collection is None else {"collection": collection})
        return _list(found, "releases")

    def create_release(self, collection: str, **changes: Any) -> dict[str, Any]:
        """Make a candidate and return its JSON; arguments and errors as `Loremill.create_release`. Takes a curator's token."""
        return self._post("/v1/releases", {"collection": collection, **changes})

    def promote(
        self, release_id: str, *, collection: str, dataset: str | None = None, force: bool = False, reason: str = ""
    ) -> dict[str, Any]:
        """Let the release go live and return the move's JSON; errors as `Loremill.promote`. Takes a curator's token, `force` an administrator's."""
        body = {"collection": collection, "dataset": dataset, "force": force, "reason": reason}
        return self._post(f"/v1/releases/{quote(release_id, safe='')}/promote", body)

    def rollback(self, *, collection: str, reason: str, to: str | None = None) -> dict[str, Any]:
        """Serve under the settings of before and return the move's JSON; errors as `Loremill.rollback`. Takes a curator's token."""
        return self._post("/v1/releases/rollback", {"collection": collection, "reason": reason, "to": to})

    @cached_property
    def memory(self) -> RemoteMemory:
        """Memory on the server, with the methods of `Loremill.memory`."""
        from rag.remote_memory import RemoteMemory

        return RemoteMemory(self._memory_request)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> RemoteLoremill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, **_json(body))

    def _memory_request(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return self._send(method, path, params=params, **({} if body is None else _json(body)))

    def _get(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        return self._send("GET", path, params=params)

    def _send(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        import httpx

        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise ProviderError(f"the server at {self._client.base_url} cannot be reached: {error}") from error
        try:
            data = response.json()
        except ValueError:
            data = None
        if response.is_success and isinstance(data, dict):
            return data
        raise error_of(
            response.status_code,
            data if isinstance(data, dict) else {},
            reason=response.reason_phrase,
            retry_after=response.headers.get("retry-after", ""),
        )


def _json(body: dict[str, Any]) -> dict[str, Any]:
    """Return what sends the body as JSON."""
    try:
        content = json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"an argument cannot be sent: {error}") from error
    return {"content": content, "headers": {"Content-Type": "application/json"}}


def error_of(status: int, problem: Mapping[str, Any], *, reason: str = "", retry_after: str = "") -> LoremillError:
    """Return the error that a server's problem document names, else the one that fits its status.

    Args:
        reason: the status in words, for an answer that is no problem document.
        retry_after: that header.
    """
    detail = str(problem.get("detail") or problem.get("title") or reason)
    if status in (401, 403):
        return AccessDenied(None, detail)
    for kind in _TOLD:
        if problem.get("type") == f"urn:loremill:error:{kind.__name__}":
            return kind(detail)
    if status == 404:
        return CollectionNotFound(detail)
    if status in (400, 413, 422):
        return ConfigError(detail)
    return ProviderError(
        f"the server answered {status}: {detail}", retry_after_s=float(retry_after) if retry_after.isdigit() else None
    )


def _field(data: Any, name: str) -> Any:
    if not isinstance(data, Mapping) or name not in data:
        raise ProviderError(f"the server's answer has no {name!r}: is this a Loremill server?")
    return data[name]


def _list(data: Any, name: str) -> list[Any]:
    found = _field(data, name)
    if not isinstance(found, list):
        raise ProviderError(f"the server's answer has no list {name!r}: is this a Loremill server?")
    return found


def _known(kind: type[_T], data: Mapping[str, Any], **values: Any) -> _T:
    """Make a value of the fields that this version knows; a newer server may send more."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**({name: value for name, value in data.items() if name in names} | values))
    except (TypeError, AttributeError) as error:
        raise ProviderError(f"the server's answer cannot be read: {error}") from error


def _answer(data: Mapping[str, Any]) -> Answer:
    sentences = tuple(
        _known(AnswerSentence, sentence, citations=tuple(_list(sentence, "citations")))
        for sentence in _list(data, "sentences")
    )
    citations = tuple(_known(Citation, citation) for citation in _list(data, "citations"))
    return _known(Answer, data, sentences=sentences, citations=citations, usage=_known(Usage, _field(data, "usage")))
