"""Retrieval measures over one query, their mean, and latency percentiles.

Every measure takes `qrels` (document id -> relevance; above 0 is relevant) and `ranked` (document ids, best first, each
once) and returns a float in [0, 1]. A document without a judgement is not relevant. A query without relevant documents
scores 0.
The semantics are those of trec_eval, hence of ir_measures and pytrec_eval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

Judgements = Mapping[str, int]
Measure = Callable[[Judgements, Sequence[str]], float]


def ndcg(qrels: Judgements, ranked: Sequence[str], *, k: int) -> float:
    """nDCG@k = DCG@k / DCG@k of the ideal order, DCG@k = sum over ranks i <= k of rel_i / log2(i + 1).

    The gain is the relevance itself, as in trec_eval's ndcg_cut, not 2^rel - 1; negative relevance gains 0.
    Source: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002.
    """
    ideal = _dcg(sorted((gain for gain in qrels.values() if gain > 0), reverse=True)[_cut(k)])
    return _dcg([max(qrels.get(document, 0), 0) for document in _once(ranked)[_cut(k)]]) / ideal if ideal else 0.0


def recall(qrels: Judgements, ranked: Sequence[str], *, k: int) -> float:
    """R@k = |relevant in the first k| / |relevant|. Source: Cleverdon, Aslib Proceedings 19(6), 1967."""
    relevant = _relevant(qrels)
    return len(relevant.intersection(_once(ranked)[_cut(k)])) / len(relevant) if relevant else 0.0


def precision(qrels: Judgements, ranked: Sequence[str], *, k: int) -> float:
    """P@k = |relevant in the first k| / k; the divisor stays k where fewer were returned. Source: as `recall`."""
    return len(_relevant(qrels).intersection(_once(ranked)[_cut(k)])) / k


def reciprocal_rank(qrels: Judgements, ranked: Sequence[str], *, k: int) -> float:
    """RR@k = 1 / rank of the first relevant document, 0 if it is not among the first k; its mean is MRR@k.

    Source: Voorhees, TREC-8 question answering track report, 1999.
    """
    relevant = _relevant(qrels)
    return next(
        (1 / rank for rank, document in enumerate(_once(ranked)[_cut(k)], start=1) if document in relevant), 0.0
    )


def hit(qrels: Judgements, ranked: Sequence[str], *, k: int) -> float:
    """Success@k = 1 if a relevant document is among the first k, else 0. Source: trec_eval, success."""
    return float(not _relevant(qrels).isdisjoint(_once(ranked)[_cut(k)]))


def average_precision(qrels: Judgements, ranked: Sequence[str]) -> float:
    """AP = sum over the ranks of relevant documents of P@rank, divided by |relevant|; one never found adds 0.

    Source: Buckley and Voorhees, SIGIR 2000.
    """
    relevant = _relevant(qrels)
    ranks = [rank for rank, document in enumerate(_once(ranked), start=1) if document in relevant]
    return sum(found / rank for found, rank in enumerate(ranks, start=1)) / len(relevant) if relevant else 0.0


def mean(measure: Measure, qrels: Mapping[str, Judgements], run: Mapping[str, Sequence[str]]) -> float:
    """Return the mean of `measure` over all queries of `qrels`; one that `run` leaves unanswered scores 0 and stays in.

    Raises:
        ValueError: `qrels` is empty.
    """
    if not qrels:
        raise ValueError("the mean over no queries is not defined")
    return fmean(measure(judgements, run.get(query_id, ())) for query_id, judgements in qrels.items())


def percentile(values: Sequence[float], q: float) -> float:
    """Return the `q`-th percentile, q in [0, 100], linear between neighbours (numpy's default).

    Raises:
        ValueError: `values` is empty or `q` is out of range.
    """
    if not values or not 0 <= q <= 100:
        raise ValueError("percentile needs at least one value and q in [0, 100]")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def latency(values_ms: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and the largest of `values_ms`, in milliseconds; all 0 where nothing was measured."""
    if not values_ms:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    return {"p50": percentile(values_ms, 50), "p95": percentile(values_ms, 95), "max": max(values_ms)}


def _relevant(qrels: Judgements) -> set[str]:
    return {document for document, relevance in qrels.items() if relevance > 0}


def _cut(k: int) -> slice:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return slice(k)


def _once(ranked: Sequence[str]) -> Sequence[str]:
    """A document ranked twice would count twice and lift nDCG above 1, so it is refused, as trec_eval does."""
    if len(set(ranked)) != len(ranked):
        raise ValueError("a document is ranked twice")
    return ranked


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
