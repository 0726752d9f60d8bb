"""The same calls against a server: `Loremill.connect(url, token=...)`. The principal is the token's; none is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from indexes.errors import (
    AccessDenied,
    CollectionNotFound,
    ConfigError,
    DependencyMissing,
    LoremillError,
    ProviderError,
)
from indexes.vocabulary import Hit, Principal
from rag.answer import Answer, AnswerSentence, Citation
from rag.generate import Usage


class RemoteLoremill:
    """A client of one server, for one token. `principal` is accepted so that code runs against both, and ignored."""

    def __init__(self, url: str, *, token: str, timeout_s: float = 120.0) -> None:
        try:
            import httpx
        except ImportError as error:
            raise DependencyMissing("httpx", extra="service") from error
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
    ) -> list[Hit]:
        """Return the best chunks that the token's principal may read; errors as `Loremill.search`."""
        body = {"query": query, "collection": collection, "top_k": top_k, "mode": mode, "where": where}
        found = self._post("/v1/search", {name: value for name, value in body.items() if value is not None})
        return [Hit(**hit) for hit in found["hits"]]

    def ask(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal | None = None,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
    ) -> Answer:
        """Return an answer or an abstention; errors as `Loremill.ask`."""
        body = {"question": question, "collection": collection, "generator": generator, "history": history}
        return _answer(self._post("/v1/ask", {name: value for name, value in body.items() if value is not None}))

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> RemoteLoremill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        import httpx

        try:
            response = self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise ProviderError(f"the server at {self._client.base_url} cannot be reached: {error}") from error
        try:
            data: dict[str, Any] = response.json()
        except ValueError:
            data = {}
        if response.is_success:
            return data
        raise _error(response.status_code, str(data.get("detail") or data.get("title") or response.reason_phrase))


def _error(status: int, detail: str) -> LoremillError:
    if status in (401, 403):
        return AccessDenied(None, detail)
    if status == 404:
        return CollectionNotFound(detail)
    if status in (400, 413, 422):
        return ConfigError(detail)
    return ProviderError(f"the server answered {status}: {detail}")


def _answer(data: dict[str, Any]) -> Answer:
    sentences = tuple(
        AnswerSentence(**(sentence | {"citations": tuple(sentence["citations"])})) for sentence in data["sentences"]
    )
    citations = tuple(Citation(**citation) for citation in data["citations"])
    return Answer(**(data | {"sentences": sentences, "citations": citations, "usage": Usage(**data["usage"])}))
