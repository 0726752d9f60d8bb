"""Retrieval evaluation: BEIR queries through the served search, scored as trec_eval scores them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from eval import measures
from eval.trec import Qrels, Queries, read_qrels, read_queries, write_run
from indexes.errors import DatasetError
from indexes.vocabulary import Hit, Principal

MEASURES: Mapping[str, measures.Measure] = {
    "ndcg@10": partial(measures.ndcg, k=10),
    "recall@10": partial(measures.recall, k=10),
    "recall@100": partial(measures.recall, k=100),
    "mrr@10": partial(measures.reciprocal_rank, k=10),
}


class Searcher(Protocol):
    """The part of the facade that is used here."""

    def search(
        self, query: str, *, collection: str, principal: Principal, top_k: int = ..., mode: str = ...
    ) -> list[Hit]: ...


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Means over all judged queries, by measure name, with the latency of a search in milliseconds.

    `per_query` has each query's own values, for significance tests; `to_json` leaves it out.
    """

    collection: str
    mode: str
    n_queries: int
    means: Mapping[str, float]
    latency_ms: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Return `{"collection", "mode", "queries", "metrics", "latency_ms"}`."""
        return {
            "collection": self.collection,
            "mode": self.mode,
            "queries": self.n_queries,
            "metrics": dict(self.means),
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
        }


def evaluate_retrieval(
    mill: Searcher,
    *,
    collection: str,
    queries: Queries | str | Path,
    qrels: Qrels | str | Path,
    principal: Principal,
    mode: str = "hybrid",
    run_out: str | Path | None = None,
    top_k: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalReport:
    """Search every judged query and score the documents found.

    Only queries with judgements are run, as in BEIR. Chunks collapse to documents by their best chunk.

    Args:
        queries: query id -> text, or the path of a queries.jsonl.
        qrels: query id -> document id -> relevance, or the path of a qrels file.
        run_out: where to write the TREC run; nowhere if None.
        top_k: chunks asked for per query; below 100, recall@100 is that of fewer.
        progress: called with (done, total) after each query.
    Raises:
        DatasetError: a file is malformed, or a judged query has no text.
    """
    judged = read_qrels(qrels) if isinstance(qrels, str | Path) else qrels
    texts = read_queries(queries) if isinstance(queries, str | Path) else queries
    missing = [query_id for query_id in judged if query_id not in texts]
    if missing or not judged:
        fault = f"{len(missing)} judged queries have no text, first {missing[0]!r}" if missing else "no judgements"
        raise DatasetError(fault, path=str(queries) if isinstance(queries, str | Path) else "queries")
    run: dict[str, list[tuple[str, float]]] = {}
    elapsed: list[float] = []
    for query_id in judged:
        start = time.perf_counter()
        hits = mill.search(texts[query_id], collection=collection, principal=principal, top_k=top_k, mode=mode)
        elapsed.append((time.perf_counter() - start) * 1000)
        run[query_id] = collapse(hits)
        if progress:
            progress(len(run), len(judged))
    if run_out is not None:
        write_run(run_out, run, tag=f"loremill-{mode}")
    return _score(collection, mode, judged, run, elapsed)


def collapse(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    """Return (document id, score of its best chunk) in the order of each document's best chunk."""
    best: dict[str, float] = {}
    for found in hits:
        best.setdefault(found.document_id, found.score)
    return list(best.items())


def _score(
    collection: str, mode: str, judged: Qrels, run: Mapping[str, Sequence[tuple[str, float]]], elapsed: Sequence[float]
) -> RetrievalReport:
    ranked = {query_id: [document_id for document_id, _ in ranking] for query_id, ranking in run.items()}
    means = {name: measures.mean(measure, judged, ranked) for name, measure in MEASURES.items()}
    per_query = {
        query_id: {name: measure(judgements, ranked[query_id]) for name, measure in MEASURES.items()}
        for query_id, judgements in judged.items()
    }
    return RetrievalReport(collection, mode, len(judged), means, measures.latency(elapsed), per_query)
