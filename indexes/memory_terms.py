"""Words of memory: analysed once when an item is stored, kept as digests, scored with BM25 in memory.

The analysis is that of documents (`indexes.lexical.analyzer`), term digests too. A partition's postings are NumPy arrays, sorted by
term; items that came since stand in a short tail of their own, which is merged in when it has grown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.forward import term_digest
from indexes.memory_kernels import add_weights, best_marked, weights_at

K1, B = 1.2, 0.75
MEAN_LENGTH = 20.0
"""Terms of an ordinary message. A constant, so that a score depends on no other row's length, and is worked out once."""
_MERGE_FROM = 256
_COMPETING = 20

Float32Vector = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
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


@dataclass(frozen=True, slots=True)
class Held:
    """Where a term of the query stands: in which rows, ascending, each with its share, merged ones and later ones; and what a share counts."""

    rows: Rows
    shares: Float32Vector
    later: Rows
    later_shares: Float32Vector
    factor: float

    def __len__(self) -> int:
        return len(self.rows) + len(self.later)


class Postings:
    """Which rows of a partition hold which terms. Rows are added at the end and never change. Not safe among threads."""

    def __init__(self) -> None:
        self._lengths: Float32Vector = np.empty(0, np.float32)
        self._merged = 0
        self._terms: Digests = np.empty(0, np.uint32)
        self._starts: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._rows: Rows = np.empty(0, np.int32)
        self._shares: Float32Vector = np.empty(0, np.float32)
        self._tail: Digests = np.empty(0, np.uint32)
        self._tail_rows: Rows = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def n_bytes(self) -> int:
        arrays = (self._lengths, self._terms, self._starts, self._rows, self._shares, self._tail, self._tail_rows)
        return sum(one.nbytes for one in arrays)

    def extend(self, terms: Digests, lengths: Sequence[int]) -> None:
        """Add rows behind those there are: the terms of all, one row after the other, and how many each has.

        Cost: linear in what is added, and in all postings when the tail is merged.
        """
        first, more = len(self), np.array(lengths, np.int64)
        self._lengths = np.concatenate([self._lengths, more.astype(np.float32)])
        self._tail = np.concatenate([self._tail, terms])
        rows = np.arange(first, len(self), dtype=np.int32)
        self._tail_rows = np.concatenate([self._tail_rows, np.repeat(rows, more)])
        if len(self) - self._merged > max(_MERGE_FROM, self._merged // 16):
            self._merge()

    def search(self, terms: Digests, shown: BoolVector, wanted: int) -> tuple[npt.NDArray[np.int64], list[Held]]:
        """Return the rows that are shown and score best, at most `wanted`, in any order, and what `scores_of` takes.

        Where many rows hold a term, only those that hold one of the rarer ones compete: the best of all are among them but in theory.
        """
        held = [self._held(*one) for one in zip(terms, np.searchsorted(self._terms, terms).tolist(), strict=True)]
        competing, sums = np.zeros(len(self), bool), np.zeros(len(self), np.float32)
        enough = _COMPETING * wanted
        for one in sorted(filter(len, held), key=len):
            for rows, shares in ((one.rows, one.shares), (one.later, one.later_shares)):
                if len(rows):
                    add_weights(rows, shares, one.factor, sums, competing, mark=enough > 0)
            enough -= len(one)
        return best_marked(sums, competing, shown, wanted), held

    def scores_of(self, held: Sequence[Held], rows: npt.NDArray[np.int64]) -> Float32Matrix:
        """Return what each term adds to the BM25 score of each of some rows, ascending; shape (terms, rows), 0 where a row has it not."""
        scores = np.zeros((len(held), len(rows)), np.float32)
        cut = int(np.searchsorted(rows, self._merged))
        for line, one in zip(scores, held, strict=True):
            if len(one.rows):
                weights_at(one.rows, one.shares, one.factor, rows[:cut], line[:cut])
            if len(one.later):
                weights_at(one.later, one.later_shares, one.factor, rows[cut:], line[cut:])
        return scores

    def _held(self, term: np.uint32, place: int) -> Held:
        """Return where a term stands, and what its share adds to a row's score; `place` is its own among the merged ones, if it is there.

        Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework.
        """
        part = slice(0, 0)
        if place < len(self._terms) and self._terms[place] == term:
            part = slice(int(self._starts[place]), int(self._starts[place + 1]))
        later, shares = self._tail_rows[:0], self._shares[:0]
        if len(self._tail) and len(there := np.flatnonzero(self._tail == term)):
            later, often = np.unique(self._tail_rows[there], return_counts=True)
            shares = _shares(often, self._lengths[later])
        rows = part.stop - part.start + len(later)
        idf = math.log(1 + (len(self) - rows + 0.5) / (rows + 0.5))
        return Held(self._rows[part], self._shares[part], later, shares, idf * (K1 + 1))

    def _merge(self) -> None:
        """Take the tail in among what is sorted already."""
        pairs, often = np.unique(_keys(self._tail, self._tail_rows), return_counts=True)
        rows = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int32)
        shares = _shares(often, self._lengths[rows])
        if self._merged:
            before = _keys(np.repeat(self._terms, np.diff(self._starts)), self._rows)
            place = np.searchsorted(before, pairs)
            pairs, rows = np.insert(before, place, pairs), np.insert(self._rows, place, rows)
            shares = np.insert(self._shares, place, shares)
        terms = (pairs >> np.uint64(32)).astype(np.uint32)
        first = np.flatnonzero(np.diff(terms, prepend=terms[:1] + np.uint32(1)))
        self._terms, self._starts = terms[first], np.append(first, len(pairs)).astype(np.int64)
        self._rows, self._shares = rows, shares
        self._merged = len(self)
        self._tail, self._tail_rows = self._tail[:0].copy(), self._tail_rows[:0].copy()


def _keys(terms: Digests, rows: Rows) -> npt.NDArray[np.uint64]:
    """Return numbers that sort by term, then row."""
    return terms.astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64)


def _shares(counts: npt.NDArray[Any], lengths: Float32Vector) -> Float32Vector:
    """Return how far a term's repetitions and its row's length let it count."""
    often = counts.astype(np.float32)
    return np.asarray(often / (often + K1 * (1 - B + B / MEAN_LENGTH * lengths)), np.float32)
