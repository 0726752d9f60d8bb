"""LangChain retrievers over documents and over memory: what they return, their principal may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indexes.errors import DependencyMissing
from indexes.vocabulary import Principal
from rag.lore.wire import to_json

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise DependencyMissing("langchain-core", extra="langchain") from error


class LoremillRetriever(BaseRetriever):
    """Passages of a collection, best first; arguments and errors as `Loremill.search`.

    A document's metadata are the passage's own, and above these document_id, chunk_id, uri, title, start, end and score.
    """

    mill: Any
    """An open `Loremill`, or a client of a server, which goes by its token."""
    principal: Principal
    collection: str
    top_k: int = 10
    mode: str = "hybrid"
    where: Mapping[str, Any] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        hits = self.mill.search(
            query,
            collection=self.collection,
            principal=self.principal,
            top_k=self.top_k,
            mode=self.mode,
            where=self.where,
        )
        return [
            Document(
                id=hit.chunk_id,
                page_content=hit.text,
                metadata={
                    **hit.metadata, "document_id": hit.document_id, "chunk_id": hit.chunk_id, "uri": hit.uri,
                    "title": hit.title, "start": hit.start, "end": hit.end, "score": hit.score,
                },
            )
            for hit in hits
        ]  # fmt: skip


class MemoryRetriever(BaseRetriever):
    """What is remembered, best first; arguments and errors as `Memory.recall`. A document's metadata are the item's fields."""

    mill: Any
    """An open `Loremill`, or a client of a server, which goes by its token."""
    principal: Principal
    top_k: int = 10
    max_tokens: int | None = None
    scopes: list[str] | None = None
    session: str | None = None
    kinds: list[str] | None = None
    where: Mapping[str, Any] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        items = self.mill.memory.recall(
            query, principal=self.principal, top_k=self.top_k, max_tokens=self.max_tokens, scopes=self.scopes,
            session=self.session, kinds=self.kinds, where=self.where,
        )  # fmt: skip
        return [
            Document(
                id=item.id,
                page_content=item.text,
                metadata={name: value for name, value in to_json(item).items() if name not in {"id", "text"}},
            )
            for item in items
        ]
