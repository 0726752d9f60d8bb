"""Retrieval for one tenant: the live build of a collection, searched as a principal, every hit confirmed before it leaves."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from indexes.access import AccessFilter
from indexes.arrays import Float32Matrix
from indexes.builds import Build
from indexes.catalog import Catalog, CollectionState, ConfirmedChunk
from indexes.embedder import Embedder
from indexes.errors import AccessDenied, BuildCorrupt, CollectionNotFound, ConfigError, TooLarge
from indexes.search import FusionSettings, SearchMode, search_rows
from indexes.vocabulary import Hit, Principal
from rag.releases import Release, list_releases

MAX_TOP_K = 1000
_CONFIRM_TRIES = 4
_QUERY_CACHE = 256


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The contract's `search` JSON, typed."""

    query: str
    collection: str
    principal: str
    build: str
    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]
    release: str = ""

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        del data["release"]
        data["hits"] = [{name: value for name, value in hit.items() if name != "headings"} for hit in data["hits"]]
        data["timings_ms"] = {name: round(value, 2) for name, value in self.timings_ms.items()}
        return data


class Retriever:
    """Searches the collections of one tenant. Safe for many threads; sees what other processes commit."""

    def __init__(self, catalog: Catalog, folder: Path, embedder: Embedder, *, max_query_chars: int) -> None:
        self._catalog = catalog
        self._folder = folder
        self._embedder = embedder
        self._max_query_chars = max_query_chars
        self._lock = Lock()
        self._builds: dict[str, Build] = {}
        self._releases: dict[tuple[str, str], Release] = {}
        self._vectors: OrderedDict[str, Float32Matrix] = OrderedDict()

    def search(
        self,
        query: str,
        *,
        collection: str,
        principal: Principal,
        top_k: int = 10,
        mode: str = "hybrid",
        where: Mapping[str, Any] | None = None,
    ) -> SearchResult:
        """Return the best chunks that `principal` may read, best first.

        Args:
            query: free text, not blank, at most `max_query_chars` characters.
            top_k: hits wanted, 1 to 1000; fewer only where fewer chunks pass the filters.
            mode: `hybrid` (scores in [0, 1]), `dense` (cosine) or `lexical` (BM25).
            where: metadata that the hit's document must have, ANDed with access.
        Raises:
            ConfigError, TooLarge: an argument is out of range.
            CollectionNotFound: the tenant has no such collection.
            AccessDenied: the principal belongs to another tenant.
        """
        search_mode = self._check(query, top_k, mode)
        started = time.perf_counter()
        if principal.tenant != self._catalog.tenant:  # before anything can tell whether the collection exists
            raise AccessDenied(principal)
        state = self._catalog.state(collection)
        vector = None if search_mode is SearchMode.LEXICAL else self.embed_query(query)
        embedded = time.perf_counter()
        for _ in range(_CONFIRM_TRIES):
            release, build = self._live(state)
            access = self._catalog.access(principal, state=state)
            mask = build.rows_of(self._catalog.matching_documents(collection, where)) if where else None
            fusion = FusionSettings(**release.retrieval)
            rows, scores = search_rows(
                build, query, vector=vector, top_k=top_k, mode=search_mode, access=access, where=mask, fusion=fusion
            )
            chunk_ids = build.chunk_ids(rows)
            confirmed = self._catalog.confirm(collection, chunk_ids, access=access)
            if len(confirmed) == len(chunk_ids) or (newer := self._catalog.state(collection)) == state:
                break
            state = newer  # something changed meanwhile: what is left would be too short, so look again
        hits = [
            (confirmed[name], float(score)) for name, score in zip(chunk_ids, scores, strict=True) if name in confirmed
        ]
        ended = time.perf_counter()
        return SearchResult(
            query=query,
            collection=collection,
            principal=principal.subject,
            build=release.build,
            hits=tuple(_hit(rank, score, chunk) for rank, (chunk, score) in enumerate(hits, start=1)),
            timings_ms={
                "embed": (embedded - started) * 1e3,
                "search": (ended - embedded) * 1e3,
                "total": (ended - started) * 1e3,
            },
            release=release.id,
        )

    def embed_query(self, query: str) -> Float32Matrix:
        """Return the query's vector, shape (1, dim); the last few are kept. A vector depends on the text alone, on no right."""
        with self._lock:
            if (vector := self._vectors.get(query)) is not None:
                self._vectors.move_to_end(query)
                return vector
        vector = self._embedder.embed_queries([query])
        with self._lock:
            self._vectors[query] = vector
            if len(self._vectors) > _QUERY_CACHE:
                self._vectors.popitem(last=False)
        return vector

    def release_record(self, collection: str) -> Release:
        """Return the release that the collection serves now, without opening its build."""
        return self._release(self._catalog.state(collection))

    def build(self, collection: str) -> Build:
        """Open the live build, for `verify`."""
        return self._live(self._catalog.state(collection))[1]

    def access(self, principal: Principal) -> AccessFilter:
        """Turn a principal into what it may read; AccessDenied for another tenant's."""
        return self._catalog.access(principal)

    def _check(self, query: str, top_k: int, mode: str) -> SearchMode:
        if not isinstance(query, str) or not query.strip():
            raise ConfigError("the query is empty; write a question or some words")
        if len(query) > self._max_query_chars:
            raise TooLarge(f"the query has {len(query)} characters, the limit is {self._max_query_chars}; shorten it")
        if any("\ud800" <= char <= "\udfff" for char in query):
            raise ConfigError("the query is not valid Unicode: it holds half of a surrogate pair")
        if not isinstance(top_k, int) or not 1 <= top_k <= MAX_TOP_K:
            raise ConfigError(f"top_k is {top_k}, it must be 1 to {MAX_TOP_K}")
        try:
            return SearchMode(mode)
        except ValueError:
            raise ConfigError(f"mode {mode!r} is unknown: use hybrid, dense or lexical") from None

    def _live(self, state: CollectionState) -> tuple[Release, Build]:
        """Return the live release and its build, open and carrying the rights of the catalog's present epoch."""
        release = self._release(state)
        with self._lock:
            build = self._builds.get(state.collection)
            if build is None or build.manifest.build_id != release.build:
                build = self._open(state.collection, release.build)
                self._builds[state.collection] = build
        build.carry_rights(
            lambda since: self._catalog.document_classes(state.collection, since=since), epoch=state.epoch
        )
        return release, build

    def _release(self, state: CollectionState) -> Release:
        if state.live is None:
            raise CollectionNotFound(
                f"collection {state.collection!r} has no release yet; its first ingestion did not end"
            )
        with self._lock:
            release = self._releases.get((state.collection, state.live))
            if release is None:
                found = {release.id: release for release in list_releases(self._catalog, state.collection)}
                release = self._releases[state.collection, state.live] = found[state.live]
        return release

    def _open(self, collection: str, build_id: str) -> Build:
        build = Build(self._folder / collection / "builds" / build_id)
        config = build.manifest.config
        if (config.embedder, config.dim) != (self._embedder.model_id, self._embedder.dim):
            raise BuildCorrupt(
                f"collection {collection!r} was embedded with {config.embedder}, the settings say {self._embedder.model_id}: "
                "set the same embedder, or ingest again"
            )
        return build


def _hit(rank: int, score: float, found: ConfirmedChunk) -> Hit:
    chunk = found.chunk
    return Hit(
        rank=rank,
        score=round(score, 6),
        document_id=chunk.document_id,
        chunk_id=chunk.chunk_id,
        uri=found.uri,
        title=found.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        metadata=found.metadata,
        headings=chunk.headings,
    )
