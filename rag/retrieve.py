"""Retrieval for one tenant: the live release of a collection, or another one, searched as a principal, every hit confirmed before it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix
from indexes.audit import SeenChunk
from indexes.builds import Build
from indexes.catalog import Catalog, CollectionState, ConfirmedChunk
from indexes.embedder import Embedder
from indexes.errors import AccessDenied, ConfigError, TooLarge
from indexes.recall import RecallSampler
from indexes.recent import Recent
from indexes.search import FusionSettings, SearchMode, search_rows
from indexes.vectors import Plan, VectorOptions
from indexes.vocabulary import Hit, Principal
from indexes.where import And, Filter
from indexes.where_json import parse
from ingest.embed import embedding_text
from rag.cache import Cache, Key, Scope
from rag.releases import Release
from rag.rerank import OFF, make_reranker, reranked
from rag.serving import Serving

MAX_TOP_K = 1000
_VECTORS_KEPT = 1024
_CONFIRM_TRIES = 4
_CHARS_PER_ROW = 40  # a chunk id and a score


_Rows = tuple[tuple[str, float], ...]
"""Chunk ids with scores; no text."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    """What is kept of a search, and how it was found."""

    rows: _Rows
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A search's arguments, checked."""

    query: str
    top_k: int
    mode: SearchMode
    where: Filter | None
    release: str | None


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
    seen: tuple[SeenChunk, ...] = ()
    """For the audit log: the hits' chunks, each with the names that let it out."""
    plan: Plan | None = None
    """How vectors were searched when these hits were found; None in lexical mode. For operators but for `readable`: see `to_json`."""

    def to_json(self, *, whole_plan: bool = False) -> dict[str, Any]:
        """Return the contract's JSON.

        Args:
            whole_plan: for who may know what the principal may not. Which plan is taken, and how much it scans, follows from the size of the
                index and of lists that hold everybody's rows too. `readable` counts the principal's own rows and is told to all.
        """
        data = asdict(self)
        del data["release"], data["seen"]
        if self.plan is not None and not whole_plan:
            data["plan"] = {"readable": self.plan.readable}
        data["hits"] = [{name: value for name, value in hit.items() if name != "headings"} for hit in data["hits"]]
        data["timings_ms"] = {name: round(value, 2) for name, value in self.timings_ms.items()}
        return data


@dataclass(frozen=True, slots=True)
class Served:
    """A release with what it takes to answer from it; `governed` says that the live release's settings stand above those of the home."""

    release: Release
    retrieval: FusionSettings
    embedder: Embedder
    governed: bool


class Retriever:
    """Searches the collections of one tenant. Safe for many threads; sees what other processes commit.

    Args:
        folder: of the collections' folders.
        max_query_chars: longer queries are refused.
        cache: the tenant's; its values pass through `confirm` again before they leave.
        options: how the builds' backends run here.
        embedder_of: gives the embedder that a setting names, for releases with another one than `embedder`; None where there are none.
        recall: counts the searches of vectors and checks some of them.
    """

    before_confirm: Callable[[], None] | None = None
    """Called between the search and its confirmation: where tests take rights away."""

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        embedder: Embedder,
        *,
        max_query_chars: int,
        cache: Cache | None = None,
        options: VectorOptions | None = None,
        recall: RecallSampler | None = None,
        embedder_of: Callable[[str], Embedder] | None = None,
    ) -> None:
        self.cache = Cache() if cache is None else cache
        self._catalog = catalog
        self._max_query_chars = max_query_chars
        self._recall = recall
        self._serving = Serving(catalog, folder, embedder_of or (lambda _: embedder), options)
        self._vectors: Recent[Float32Matrix] = Recent(_VECTORS_KEPT)

    def search(
        self,
        query: str,
        *,
        collection: str,
        principal: Principal,
        top_k: int = 10,
        mode: str = "hybrid",
        where: Mapping[str, Any] | None = None,
        release: str | None = None,
    ) -> SearchResult:
        """Return the best chunks that `principal` may read, best first.

        Args:
            query: free text, not blank, at most `max_query_chars` characters.
            top_k: hits wanted, 1 to 1000; fewer only where fewer chunks pass the filters.
            mode: `hybrid` (scores in [0, 1]), `dense` (cosine) or `lexical` (BM25).
            where: a metadata filter, ANDed with access; see `indexes.where`.
            release: of the collection, to be searched in place of the live one, under the same rights.
        Raises:
            ConfigError, TooLarge: an argument is out of range.
            UnsupportedFilter: `where` says what no filter can; the message names the place in it.
            CollectionNotFound: the tenant has no such collection.
            ReleaseNotFound: the collection has no such release, or its build is not kept any more.
            AccessDenied: the principal belongs to another tenant.
        """
        self.check(query)
        wanted = _Wanted(query, _checked_top_k(top_k), _checked_mode(mode), _checked_where(where), release)
        started = time.perf_counter()
        state = self._state(collection, principal)
        embed_s = 0.0
        for _ in range(_CONFIRM_TRIES):
            access = self.access(principal, state=state)
            scope = self._scope(state, access, release)
            key: Key[_Ranked] = Key.of(scope, "search", query, top_k, wanted.mode, wanted.where)
            kept = self.cache.get(key)
            ranked, took = (kept, 0.0) if kept is not None else self._search(wanted, state, access, scope)
            embed_s += took
            if self.before_confirm is not None:
                self.before_confirm()
            now = self.access(principal, state=state)  # a group may have been taken away while the search ran
            ids = [chunk_id for chunk_id, _ in ranked.rows]
            confirmed = self._catalog.confirm(collection, ids, access=now, where=wanted.where)
            if len(confirmed) == len(ids):
                self.cache.put(key, ranked, chars=_CHARS_PER_ROW * len(ids))
                break
            self.cache.drop(key)
            newer = self._catalog.state(collection)
            if kept is None and (newer, now) == (state, access):
                break
            state = newer  # something changed meanwhile: what is left would be too short, so look again
        hits = [(confirmed[chunk_id], score) for chunk_id, score in ranked.rows if chunk_id in confirmed]
        total_s = time.perf_counter() - started
        return SearchResult(
            query=query,
            collection=collection,
            principal=principal.subject,
            build=scope.build,
            hits=tuple(_hit(rank, score, chunk) for rank, (chunk, score) in enumerate(hits, start=1)),
            timings_ms={"embed": embed_s * 1e3, "search": (total_s - embed_s) * 1e3, "total": total_s * 1e3},
            release=scope.release,
            seen=self._catalog.seen((chunk for chunk, _ in hits), access=now),
            plan=ranked.plan,
        )

    def seen(self, collection: str, chunk_ids: Collection[str], *, principal: Principal) -> tuple[SeenChunk, ...]:
        """Return what the audit log says of those of the chunks that `principal` may read at this moment."""
        access = self.access(principal)
        return self._catalog.seen(
            self._catalog.confirm(collection, list(chunk_ids), access=access).values(), access=access
        )

    def check(self, query: str) -> None:
        """Raise ConfigError or TooLarge if the query is none that can be searched for."""
        if not isinstance(query, str) or not query.strip():
            raise ConfigError("the query is empty; write a question or some words")
        if len(query) > self._max_query_chars:
            raise TooLarge(f"the query has {len(query)} characters, the limit is {self._max_query_chars}; shorten it")
        if any("\ud800" <= char <= "\udfff" for char in query):
            raise ConfigError("the query is not valid Unicode: it holds half of a surrogate pair")

    def scope(self, collection: str, *, principal: Principal, release: str | None = None) -> Scope:
        """Return what serves `principal` at this moment and what it may read; arguments and errors as in `search`.

        Cost: one indexed look-up, no build is opened.
        """
        state = self._state(collection, principal)
        return self._scope(state, self.access(principal, state=state), release)

    def serves(self, scope: Scope) -> Served:
        """Return what answers in a scope: all of one release, whatever goes live meanwhile."""
        state = self._catalog.state(scope.collection)
        release = self._serving.release(state, scope.release)
        return Served(
            release, FusionSettings.stored(release.retrieval), self._serving.embedder(release), state.governed
        )

    def warm(self, collection: str, release: str) -> None:
        """Open a release that is about to go live; BuildCorrupt or ReleaseNotFound where it cannot be."""
        self._serving.build(self._catalog.state(collection), release)

    def confirm(
        self, collection: str, chunk_ids: Collection[str], *, principal: Principal
    ) -> dict[str, ConfirmedChunk]:
        """Return those of the chunks that `principal` may read at this moment; see `Catalog.confirm`."""
        return self._catalog.confirm(collection, list(chunk_ids), access=self.access(principal))

    def access(self, principal: Principal, *, state: CollectionState | None = None) -> AccessFilter:
        """Turn a principal into what it may read now; AccessDenied for another tenant's.

        Args:
            state: read a moment ago, spares a look at the database.
        """
        return self._catalog.access(principal, state=state)

    def release_record(self, collection: str) -> Release:
        """Return the release that the collection serves now, without opening its build."""
        return self._serving.release(self._catalog.state(collection))

    def build(self, collection: str) -> Build:
        """Open the live build, for `verify`."""
        return self._serving.build(self._catalog.state(collection))

    def _state(self, collection: str, principal: Principal) -> CollectionState:
        if principal.tenant != self._catalog.tenant:  # before anything can tell whether the collection exists
            raise AccessDenied(principal)
        return self._catalog.state(collection)

    def _scope(self, state: CollectionState, access: AccessFilter, release: str | None) -> Scope:
        found = self._serving.release(state, release)
        return Scope(access.tenant, state.collection, access.classes, state.epoch, found.build, found.id)

    def _search(
        self, wanted: _Wanted, state: CollectionState, access: AccessFilter, scope: Scope
    ) -> tuple[_Ranked, float]:
        """Search the scope's build; return what was found and the seconds that embedding the query took."""
        started = time.perf_counter()
        release = self._serving.release(state, scope.release)
        lexical = wanted.mode is SearchMode.LEXICAL
        vector = None if lexical else self._embed(wanted.query, scope, self._serving.embedder(release))
        embedded = time.perf_counter()
        build = self._serving.build(state, scope.release)
        fusion = FusionSettings.stored(release.retrieval)
        reads = fusion.rerank != OFF and wanted.mode is SearchMode.HYBRID
        found = search_rows(
            build,
            wanted.query,
            vector=vector,
            top_k=max(wanted.top_k, fusion.rerank_depth) if reads else wanted.top_k,
            mode=wanted.mode,
            access=access,
            where=None if wanted.where is None else self._passing(build, wanted.where, state, access),
            fusion=fusion,
            recall=self._recall,
        )
        rows = tuple(zip(build.chunk_ids(found.rows), map(float, found.scores), strict=True))
        if reads:
            rows = self._reread(wanted.query, rows, fusion, access=access, scope=scope)
        return _Ranked(rows[: wanted.top_k], found.plan), embedded - started

    def _passing(self, build: Build, where: Filter, state: CollectionState, access: AccessFilter) -> BoolVector:
        def values(keys: Sequence[str], since: int | None) -> Iterable[tuple[str, Sequence[Any]]]:
            return self._catalog.field_values(state.collection, keys, since=since)

        return build.rows_matching(where, values, access=access, epoch=state.epoch)

    def _reread(self, query: str, found: _Rows, fusion: FusionSettings, *, access: AccessFilter, scope: Scope) -> _Rows:
        """Return the hits in the order of a model that reads the first of them, confirmed before it sees their texts.

        Where one of them is lost they stay as they are: `search` confirms again, finds them short and searches anew.
        """
        first = [chunk_id for chunk_id, _ in found[: fusion.rerank_depth]]
        confirmed = self._catalog.confirm(scope.collection, first, access=access)
        if not first or len(confirmed) < len(first):
            return found
        chunks = [confirmed[chunk_id] for chunk_id in first]
        texts = [embedding_text(one.title, one.chunk.headings, one.chunk.text) for one in chunks]
        logits = make_reranker(fusion.rerank).scores(query, texts, readers=scope.readers)
        order, scores = reranked(np.array([score for _, score in found], np.float32), logits)
        return tuple((found[place][0], float(score)) for place, score in zip(order.tolist(), scores, strict=True))

    def _embed(self, query: str, scope: Scope, embedder: Embedder) -> Float32Matrix:
        """Return the query's vector, shape (1, dim). It depends on no right, but how fast it comes tells that somebody had it made."""
        return self._vectors.of(
            [query], lambda _: [embedder.embed_queries([query])], about=f"{embedder.model_id} {scope.readers}"
        )[0]


def _checked_top_k(top_k: int) -> int:
    if not isinstance(top_k, int) or not 1 <= top_k <= MAX_TOP_K:
        raise ConfigError(f"top_k is {top_k}, it must be 1 to {MAX_TOP_K}")
    return top_k


def _checked_mode(mode: str) -> SearchMode:
    try:
        return SearchMode(mode)
    except ValueError:
        raise ConfigError(f"mode {mode!r} is unknown: use hybrid, dense or lexical") from None


def _checked_where(where: Mapping[str, Any] | None) -> Filter | None:
    found = None if where is None else parse(where)
    return None if found == And(()) else found


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
