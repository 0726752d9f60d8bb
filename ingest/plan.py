"""`--plan`: what an ingestion would do, and about how long it would take, before any of it is done."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from indexes.embedder import Embedder
from indexes.staging import QuarantineEntry, Staging
from indexes.upcoming import Upcoming
from ingest.encode import WINDOW, longest_first
from ingest.report import ChunkCounts, DocumentCounts
from ingest.scan import Tally

_SAMPLE = 256
"""Texts whose encoding is timed: their mean length is within some 5 % of the corpus's."""
_SECONDS_A_ROW = 0.00025
"""Of the commit, for each chunk that the collection has afterwards: build, postings, catalog. See eval/LOG.md."""


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """What `Loremill.ingest` with the same arguments would report, by its counts; `chunks.embedded` is exact.

    Args:
        seconds: estimate of the whole run; of it `embed_seconds` for the encoder.
    """

    collection: str
    documents: DocumentCounts
    chunks: ChunkCounts
    seconds: float
    embed_seconds: float
    moved: int = 0
    quarantine: tuple[QuarantineEntry, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "collection": self.collection,
            "plan": True,
            "seconds": round(self.seconds, 2),
            "embed_seconds": round(self.embed_seconds, 2),
            "documents": asdict(self.documents),
            "chunks": asdict(self.chunks),
            "moved": self.moved,
            "quarantine": [entry.to_json() for entry in self.quarantine],
            "warnings": list(self.warnings),
        }


class Estimator:
    """An `Encoder` that counts the texts it would encode and keeps a fair sample of them."""

    def __init__(self, embedder: Embedder, staging: Staging) -> None:
        self._embedder = embedder
        self._staging = staging
        self._window: dict[str, str] = {}
        self._missing: set[str] = set()
        self._characters = 0
        self._sample: list[str] = []
        self._random = random.Random(0)

    def offer(self, texts: Mapping[str, str]) -> None:
        self._window.update(texts)
        if len(self._window) >= WINDOW:
            self._count()

    def finish(self) -> int:
        self._count()
        return len(self._missing)

    def _count(self) -> None:
        for name in sorted(self._staging.missing(self._embedder.model_id, self._window) - self._missing):
            self._missing.add(name)
            text = self._window[name]
            self._characters += len(text)
            if len(self._sample) < _SAMPLE:
                self._sample.append(text)
            elif (place := self._random.randrange(len(self._missing))) < _SAMPLE:  # Vitter 1985, algorithm R
                self._sample[place] = text
        self._window = {}

    def encoding_seconds(self) -> float:
        """Time the sample, and stretch the time to all the texts by their characters."""
        self.finish()
        if not self._sample:
            return 0.0
        self._embedder.embed_passages(self._sample[:4])  # what loading costs comes once
        texts = {str(number): text for number, text in enumerate(self._sample)}
        ordered = [texts[name] for name in longest_first(set(texts), texts)]
        started = time.perf_counter()
        self._embedder.embed_passages(ordered)
        return (time.perf_counter() - started) * self._characters / max(1, sum(map(len, ordered)))

    def plan(
        self, documents: DocumentCounts, moved: int, upcoming: Upcoming, tally: Tally, *, scan_seconds: float
    ) -> IngestPlan:
        """Put the plan together; `scan_seconds` is what reading the source took just now."""
        embedded = self.finish()
        encoding = self.encoding_seconds()
        added, removed = upcoming.differences()
        rows = len(upcoming) if added or removed else 0
        return IngestPlan(
            collection=self._staging.collection,
            documents=documents,
            chunks=ChunkCounts(added, removed, embedded, max(0, added - embedded)),
            seconds=scan_seconds + encoding + rows * _SECONDS_A_ROW,
            embed_seconds=encoding,
            moved=moved,
            quarantine=tuple(sorted(tally.quarantine, key=lambda entry: entry.uri)),
            warnings=tuple(tally.warnings),
        )
