"""Metrics in Prometheus text. Labels are routes, statuses and outcomes; no text and no names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HITS = (0, 1, 2, 5, 10, 20, 50, 100, 1000)


class Metrics:
    """One application's counters. Safe to share among threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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

    def text(self) -> bytes:
        """Return the exposition format, version 0.0.4."""
        return generate_latest(self._registry)
