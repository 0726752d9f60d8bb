"""Words of memory: analysed once when an item is stored, kept as digests, scored with BM25 in memory.

The analysis is that of documents (`indexes.lexical.analyzer`), term digests too. A partition's postings are NumPy arrays, sorted by
term; items that came since stand in a short tail of their own, which is merged in when it has grown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.forward import term_digest

K1, B = 1.2, 0.75
_MERGE_FROM = 256

Float32Vector = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint32]


@cache
def _analyzer() -> Any:
    from indexes.lexical import analyzer

    return analyzer()


def terms_of(text: str) -> Digests:
    """Return the digests of a text's terms, in order, repetitions included."""
    return np.array([term_digest(term) for term in _analyzer().analyze(text)], np.uint32)


class Postings:
    """Which rows of a partition hold which terms. Rows are added at the end and never change. Not safe among threads."""

    def __init__(self) -> None:
        self._texts: list[Digests] = []
        self._lengths: Float32Vector = np.empty(0, np.float32)
        self._merged = 0
        self._terms: Digests = np.empty(0, np.uint32)
        self._starts: Rows = np.zeros(1, np.int64)
        self._rows: Rows = np.empty(0, np.int64)
        self._counts: Float32Vector = np.empty(0, np.float32)
        self._tail: Digests = np.empty(0, np.uint32)
        self._tail_rows: Rows = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._texts)

    def extend(self, texts: Sequence[Digests]) -> None:
        """Add rows behind those there are. Cost: linear in what is added, and in all postings when the tail is merged."""
        first = len(self._texts)
        self._texts += texts
        lengths = np.array([len(text) for text in texts], np.int64)
        self._lengths = np.concatenate([self._lengths, lengths.astype(np.float32)])
        if len(self._texts) - self._merged > max(_MERGE_FROM, self._merged // 16):
            self._merge()
        else:
            self._tail = np.concatenate([self._tail, *texts])
            self._tail_rows = np.concatenate([self._tail_rows, np.repeat(np.arange(first, len(self._texts)), lengths)])

    def scores(self, query: Digests) -> Float32Vector:
        """Return every row's BM25 score, shape (rows,), 0 where no term is shared.

        Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework.
        """
        scores = np.zeros(len(self._texts), np.float32)
        norms = K1 * (1 - B + B / max(float(self._lengths.mean()), 1.0) * self._lengths) if len(scores) else scores
        for term in np.unique(query):
            rows, counts = self._of(term)
            if len(rows):
                idf = math.log(1 + (len(scores) - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += np.float32(idf * (K1 + 1)) * counts / (counts + norms[rows])
        return scores

    def _of(self, term: np.uint32) -> tuple[Rows, Float32Vector]:
        place = int(np.searchsorted(self._terms, term))
        rows, counts = self._rows[:0], self._counts[:0]
        if place < len(self._terms) and self._terms[place] == term:
            part = slice(int(self._starts[place]), int(self._starts[place + 1]))
            rows, counts = self._rows[part], self._counts[part]
        late = self._tail_rows[self._tail == term]
        if not len(late):
            return rows, counts
        more, often = np.unique(late, return_counts=True)
        return np.concatenate([rows, more]), np.concatenate([counts, often.astype(np.float32)])

    def _merge(self) -> None:
        lengths = self._lengths.astype(np.int64)
        keys = np.concatenate(self._texts).astype(np.uint64) << np.uint64(32)
        keys |= np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
        pairs, counts = np.unique(keys, return_counts=True)
        self._terms, first = np.unique((pairs >> np.uint64(32)).astype(np.uint32), return_index=True)
        self._starts = np.append(first, len(pairs)).astype(np.int64)
        self._rows = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        self._counts = counts.astype(np.float32)
        self._merged = len(self._texts)
        self._tail, self._tail_rows = self._tail[:0], self._tail_rows[:0]
