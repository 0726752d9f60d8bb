"""The forward index: which terms each row holds and how often. Postings find rows; this scores given rows, term by term.

    terms/starts.npy    int64, shape (rows + 1,): where each row's entries begin
          terms.npy     uint32: a digest of each entry's term
          counts.npy    uint8, shape (entries, 2): how often it stands in title and text, 255 at most
          lengths.npy   uint32, shape (rows, 2): terms of title and text

Terms are told apart by 32 bits: a query term is taken for another one in four billion times. 6 bytes a different term of a row.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.errors import BuildCorrupt

K1 = 0.45
B = 0.85
"""Chosen on train splits and development sets, see eval/LOG.md: in a short chunk a word's second time says little."""

Analyze = Callable[[str], list[str]]
FloatMatrix = npt.NDArray[np.float32]

_RUN = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]+")
"""Every analysis parts text at ASCII characters that are neither letter nor digit, so runs between those are analysed by themselves."""
_RUNS_KEPT = 500_000
_SHORT = 60
"""Analyses may drop longer words."""
_FILES = ("starts", "terms", "counts", "lengths")


def term_digest(term: str) -> int:
    """Return 32 bits of a term: zlib's CRC-32 of its UTF-8 bytes."""
    return zlib.crc32(term.encode())


class ForwardWriter:
    """Collects rows in order; `save` writes them. Cost: about 0.1 ms a row, 6 bytes an entry in memory."""

    def __init__(self, analyze: Analyze) -> None:
        self._analyze = analyze
        self._known: dict[str, tuple[int, ...]] = {}
        self._starts, self._lengths = array("q", [0]), array("I")
        self._terms, self._counts = array("I"), array("B")

    def add(self, title: str, text: str) -> None:
        titles, texts = self._digests(title), self._digests(text)
        terms, which = np.unique(np.array(titles + texts, np.uint32), return_inverse=True)
        counts = [np.bincount(part, minlength=len(terms)) for part in (which[: len(titles)], which[len(titles) :])]
        self._terms.frombytes(terms.tobytes())
        self._counts.frombytes(np.minimum(np.stack(counts, axis=1), 255).astype(np.uint8).tobytes())
        self._lengths.extend((len(titles), len(texts)))
        self._starts.append(len(self._terms))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, npt.NDArray[Any]] = {
            "starts": np.frombuffer(self._starts, np.int64),
            "terms": np.frombuffer(self._terms, np.uint32),
            "counts": np.frombuffer(self._counts, np.uint8).reshape(-1, 2),
            "lengths": np.frombuffer(self._lengths, np.uint32).reshape(-1, 2),
        }
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)

    def _digests(self, text: str) -> list[int]:
        if len(self._known) >= _RUNS_KEPT:
            self._known.clear()
        runs = _RUN.findall(text)
        if unknown := set(runs).difference(self._known):
            self._learn(unknown)
        return list(chain.from_iterable(map(self._known.__getitem__, runs)))

    def _learn(self, runs: set[str]) -> None:
        """Analyse runs, the plain ones in one call, since a call costs more than a word: each of them is one term."""
        plain = [run for run in runs if run.isascii() and len(run) < _SHORT]
        terms = self._analyze(" ".join(plain))
        self._known |= {run: (term_digest(term),) for run, term in zip(plain, terms, strict=True)}
        for run in runs.difference(plain):
            self._known[run] = tuple(term_digest(term) for term in self._analyze(run))


class ForwardIndex:
    """The rows of one build, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        """Open what `ForwardWriter.save` wrote.

        Raises:
            BuildCorrupt: a file is missing, cannot be read or does not agree with the others.
        """
        try:
            starts, terms, counts, lengths = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray) for name in _FILES
            )
        except (OSError, ValueError) as error:
            raise BuildCorrupt(f"the terms of rows cannot be read: {error}; ingest again with --full") from error
        if len(starts) != len(lengths) + 1 or not int(starts[-1]) == len(terms) == len(counts):
            raise BuildCorrupt("the terms of rows do not agree with themselves; ingest again with --full")
        self._starts, self._terms, self._counts, self._lengths = starts, terms, counts, lengths
        self._mean_lengths = np.maximum(lengths.mean(axis=0), 1e-9) if len(lengths) else np.ones(2)

    def __len__(self) -> int:
        return len(self._lengths)

    def term_scores(
        self,
        terms: Sequence[str],
        rows: npt.NDArray[np.int64],
        *,
        weights: npt.NDArray[np.float64],
        k1: float = K1,
        b: float = B,
    ) -> FloatMatrix:
        """Return what each term adds to the BM25 score of each row; a column's sum is the row's score.

        Args:
            terms: analysed, each once.
            rows: any rows, each once.
            weights: shape (terms, 2): idf in title and text, times the field's weight.
            k1: how soon a term's repetitions stop to count, at least 0.
            b: how far a text's length is made up for, in [0, 1].
        Returns:
            float32, shape (terms, rows), each at least 0.
        Cost: linear in the terms that the rows hold: about 0.4 ms for 200 rows of 100.
        Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework.
        """
        scores = np.zeros((len(terms), len(rows)), np.float32)
        if not len(terms) or not len(rows):
            return scores
        entries, columns = self._entries(rows)
        digests = np.array([term_digest(term) for term in terms], np.uint32)
        order = np.argsort(digests)
        held = self._terms[entries]
        place = np.minimum(np.searchsorted(digests[order], held), len(terms) - 1)
        hit = np.flatnonzero(digests[order][place] == held)
        which, column = order[place[hit]], columns[hit]
        counts = self._counts[entries[hit]].astype(np.float64)
        lengths = self._lengths[rows[column]] / self._mean_lengths
        parts = counts * (k1 + 1) / np.maximum(counts + k1 * (1 - b + b * lengths), 1e-9)
        scores[which, column] = (parts * weights[which]).sum(axis=1)
        return scores

    def similarity(self, rows: npt.NDArray[np.int64]) -> FloatMatrix:
        """Return the cosines between the rows' sets of text terms, shape (rows, rows); 0 for a row without terms."""
        entries, columns = self._entries(rows)
        in_text = self._counts[entries, 1] > 0
        _, term = np.unique(self._terms[entries[in_text]], return_inverse=True)
        held = np.zeros((len(rows), int(term.max(initial=-1)) + 1), np.float32)
        held[columns[in_text], term] = 1.0
        held /= np.maximum(np.sqrt(held.sum(axis=1, keepdims=True)), 1.0)
        return np.asarray(held @ held.T, np.float32)

    def _entries(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the places of the rows' entries and, for each, its row's position in `rows`."""
        starts = np.asarray(self._starts[rows])
        sizes = self._starts[rows + 1] - starts
        columns = np.repeat(np.arange(len(rows)), sizes)
        return np.arange(len(columns)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + starts[columns], columns
