"""Words of memory: analysed once when an item is stored, kept as digests, scored with BM25 in memory.

The analysis is that of documents (`indexes.lexical.analyzer`), term digests too. A partition's postings are NumPy arrays, sorted by
term; items that came since stand in a short tail of their own, which is merged in when it has grown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexes.forward import term_digest

K1, B = 1.2, 0.75
MEAN_LENGTH = 20.0
"""Terms of an ordinary message. A constant, so that a score depends on no other row's length, and is worked out once."""
_MERGE_FROM = 256
_COMPETING = 20

Float32Vector = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint32]
BoolVector = npt.NDArray[np.bool_]


@cache
def _analyzer() -> Any:
    from indexes.lexical import analyzer

    return analyzer()


def analyse(text: str) -> list[str]:
    """Return a text's terms, in order, repetitions included."""
    terms: list[str] = _analyzer().analyze(text)
    return terms


def digests_of(terms: Iterable[str]) -> Digests:
    return np.array([term_digest(term) for term in terms], np.uint32)


def terms_of(text: str) -> Digests:
    """Return the digests of a text's terms, in order, repetitions included."""
    return digests_of(analyse(text))


class _Weights(NamedTuple):
    """Rows that hold a term, ascending, and what it adds to their scores."""

    rows: Rows
    weights: Float32Vector


class Postings:
    """Which rows of a partition hold which terms. Rows are added at the end and never change. Not safe among threads."""

    def __init__(self) -> None:
        self._texts: list[Digests] = []
        self._lengths: Float32Vector = np.empty(0, np.float32)
        self._merged = 0
        self._terms: Digests = np.empty(0, np.uint32)
        self._starts: Rows = np.zeros(1, np.int64)
        self._rows: Rows = np.empty(0, np.int64)
        self._shares: Float32Vector = np.empty(0, np.float32)
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

    def search(self, terms: Digests, shown: BoolVector, wanted: int) -> tuple[Rows, list[_Weights]]:
        """Return the rows that are shown and score best, at most `wanted`, in any order, and what `scores_of` takes.

        Where many rows hold a term, only those that hold one of the rarer ones compete: the best of all are among them but in theory.
        """
        weights = [self._weights(term) for term in terms]
        rarest = sorted((one for one in weights if len(one.rows)), key=lambda one: len(one.rows))
        competing, sums = np.zeros(len(self), bool), np.zeros(len(self), np.float32)
        enough = _COMPETING * wanted
        for one in rarest:
            if enough > 0:
                competing[one.rows] = True
            enough -= len(one.rows)
            sums[one.rows] += one.weights
        rows = np.flatnonzero(competing & shown)
        if len(rows) > wanted:
            rows = rows[np.argpartition(sums[rows], -wanted)[-wanted:]]
        return rows, weights

    @staticmethod
    def scores_of(weights: Sequence[_Weights], rows: Rows) -> npt.NDArray[np.float32]:
        """Return what each term adds to the BM25 score of each of some rows, shape (terms, rows), 0 where a row has it not."""
        scores = np.zeros((len(weights), len(rows)), np.float32)
        for line, one in zip(scores, weights, strict=True):
            if len(one.rows):
                place = np.minimum(np.searchsorted(one.rows, rows), len(one.rows) - 1)
                line[:] = np.where(one.rows[place] == rows, one.weights[place], 0)
        return scores

    def _weights(self, term: np.uint32) -> _Weights:
        """Return the rows that hold a term and what it adds to each one's score.

        Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework.
        """
        rows, shares = self._of(term)
        if not len(rows):
            return _Weights(rows, shares)
        idf = math.log(1 + (len(self) - len(rows) + 0.5) / (len(rows) + 0.5))
        return _Weights(rows, np.float32(idf * (K1 + 1)) * shares)

    def _of(self, term: np.uint32) -> tuple[Rows, Float32Vector]:
        """Return the rows that hold a term, ascending, and how far its repetitions and the row's length let it count."""
        place = int(np.searchsorted(self._terms, term))
        rows, shares = self._rows[:0], self._shares[:0]
        if place < len(self._terms) and self._terms[place] == term:
            part = slice(int(self._starts[place]), int(self._starts[place + 1]))
            rows, shares = self._rows[part], self._shares[part]
        late = self._tail_rows[self._tail == term]
        if not len(late):
            return rows, shares
        more, often = np.unique(late, return_counts=True)
        return np.concatenate([rows, more]), np.concatenate([shares, _shares(often, self._lengths[more])])

    def _merge(self) -> None:
        lengths = self._lengths.astype(np.int64)
        keys = np.concatenate(self._texts).astype(np.uint64) << np.uint64(32)
        keys |= np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
        pairs, counts = np.unique(keys, return_counts=True)
        self._terms, first = np.unique((pairs >> np.uint64(32)).astype(np.uint32), return_index=True)
        self._starts = np.append(first, len(pairs)).astype(np.int64)
        self._rows = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        self._shares = _shares(counts, self._lengths[self._rows])
        self._merged = len(self._texts)
        self._tail, self._tail_rows = self._tail[:0], self._tail_rows[:0]


def _shares(counts: npt.NDArray[Any], lengths: Float32Vector) -> Float32Vector:
    often = counts.astype(np.float32)
    return np.asarray(often / (often + K1 * (1 - B + B / MEAN_LENGTH * lengths)), np.float32)
