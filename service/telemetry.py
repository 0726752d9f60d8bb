"""Metrics in Prometheus text. Labels are routes, statuses, outcomes and collections; no text, no documents, no people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from indexes.recall import ROW_BUCKETS, RecallSampler

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HITS = (0, 1, 2, 5, 10, 20, 50, 100, 1000)


class Metrics:
    """One application's counters. Safe to share among threads.

    Args:
        recall: whose counts of the searches of vectors are shown too.
    """

    def __init__(self, recall: RecallSampler | None = None) -> None:
        self._registry = CollectorRegistry()
        if recall is not None:
            self._registry.register(_VectorSearches(recall))
        self._requests = Counter(
            "loremill_http_requests", "HTTP requests.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "loremill_http_request_seconds",
            "Time from request to end of response.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._hits = Histogram("loremill_search_hits", "Hits a search.", buckets=_HITS, registry=self._registry)
        self._answers = Counter("loremill_answers", "Answers by outcome.", ("outcome",), registry=self._registry)
        self._tokens = Counter("loremill_tokens", "Tokens of the generator.", ("kind",), registry=self._registry)

        self._items = Counter(
            "loremill_ingest_documents", "Source items by what became of them.", ("collection", "outcome"),
            registry=self._registry,
        )  # fmt: skip
        self._chunks = Counter(
            "loremill_ingest_chunks",
            "Chunks by what became of them.",
            ("collection", "outcome"),
            registry=self._registry,
        )
        self._quarantined = Counter(
            "loremill_ingest_quarantined", "Items put into quarantine, by error.", ("collection", "stage", "error"),
            registry=self._registry,
        )  # fmt: skip
        self._stages = Counter(
            "loremill_ingest_seconds", "Time by stage of ingestion.", ("collection", "stage"), registry=self._registry
        )
        self._last = Gauge(
            "loremill_ingest_last_success_timestamp_seconds", "When the last ingestion ended.", ("collection",),
            registry=self._registry,
        )  # fmt: skip

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one finished request; `route` is the route's template, never the path that was asked for."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def searched(self, hits: int) -> None:
        """Count one search."""
        self._hits.observe(hits)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """Count one answer, given as the JSON of `ask`."""
        self._answers.labels("abstained" if answer["abstained"] else "answered").inc()
        for kind in ("prompt", "completion"):
            self._tokens.labels(kind).inc(answer["usage"][f"{kind}_tokens"])

    def ingested(self, report: Mapping[str, Any], *, name_collections: bool) -> None:
        """Count one ingestion, given as the JSON of `ingest`.

        Args:
            name_collections: False where readers of the metrics need not know which collections there are.
        """
        collection = report["collection"] if name_collections else ""
        for counter, counts in ((self._items, report["documents"]), (self._chunks, report["chunks"])):
            for outcome, count in counts.items():
                counter.labels(collection, outcome).inc(count)
        for entry in report["quarantine"]:
            self._quarantined.labels(collection, entry["stage"], entry["error"]).inc()
        for stage, seconds in report["stages"].items():
            self._stages.labels(collection, stage).inc(seconds)
        self._last.labels(collection).set_to_current_time()

    def text(self) -> bytes:
        """Return the exposition format, version 0.0.4."""
        return generate_latest(self._registry)


class _VectorSearches(Collector):
    """Shows what a sampler has counted by the time somebody looks."""

    def __init__(self, recall: RecallSampler) -> None:
        self._recall = recall

    def collect(self) -> Iterator[Metric]:
        by = ("plan",)
        searches = CounterMetricFamily("loremill_vector_searches", "Searches of vectors by plan.", labels=by)
        checked = CounterMetricFamily("loremill_recall_checked", "Searches repeated exactly.", labels=by)
        hits = CounterMetricFamily("loremill_recall_hits", "Of the exact best chunks, those found.", labels=by)
        expected = CounterMetricFamily("loremill_recall_expected", "The exact best chunks.", labels=by)
        estimate = GaugeMetricFamily("loremill_recall_estimate", "Hits over expected, since the start.", labels=by)
        readable = HistogramMetricFamily(
            "loremill_vector_readable_rows", "Chunks that passed the filters, a search.", labels=by
        )
        scanned = HistogramMetricFamily(
            "loremill_vector_scanned_rows", "Chunks whose score was computed, a search.", labels=by
        )
        for plan, counts in self._recall.counts().items():
            searches.add_metric([plan], counts.searches)
            readable.add_metric([plan], _cumulative(counts.readable), None)
            scanned.add_metric([plan], _cumulative(counts.scanned), None)
            if counts.expected:
                checked.add_metric([plan], counts.checked)
                hits.add_metric([plan], counts.hits)
                expected.add_metric([plan], counts.expected)
                estimate.add_metric([plan], counts.hits / counts.expected)
        dropped = CounterMetricFamily(
            "loremill_recall_dropped", "Checks due that were not made or could not be compared.", self._recall.dropped
        )
        yield from (searches, readable, scanned, checked, hits, expected, estimate, dropped)


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, ROW_BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
