"""BM25 as sparse vectors: the scores are those of the formula, and of tantivy."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from indexes.access import AccessFilter, Int32Vector
from indexes.lexical import TITLE_WEIGHT, LexicalRow
from indexes.lexical_backends import LexicalSearch, lexical_backend
from indexes.vocabulary import Principal

WORDS = ["leave", "travel", "budget", "train", "flight", "invoice", "parental", "hotel", "salary", "notice", "zebra"]
ROWS = 120
ROW_CLASSES = np.random.default_rng(1).integers(1, 4, ROWS).astype(np.int32)
QUERIES = [
    "parental leave",
    "zebra",
    "hotel hotel notice budget",
    "travel zebra unheard",
    "flight invoice salary train",
]


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def words(row: int, most: int, seed: int) -> list[str]:
    """Of Zipf's kind, so that terms are rare and frequent, and texts of every length."""
    random = np.random.default_rng((seed, row))
    picked = random.zipf(1.4, size=int(random.integers(1, most + 1)))
    return [WORDS[min(int(rank), len(WORDS)) - 1] for rank in picked]


def open_index(folder: Path, name: str, most: int) -> LexicalSearch:
    backend = lexical_backend(name)
    rows = [
        LexicalRow(row, int(ROW_CLASSES[row]), " ".join(words(row, 3, 8)), " ".join(words(row, most, 9)))
        for row in range(ROWS)
    ]
    backend.build(rows, folder)
    index = backend.open(folder, row_documents=np.arange(ROWS, dtype=np.int32), built_classes=ROW_CLASSES)
    index.assign_classes(ROW_CLASSES)
    return index


def bm25(index: LexicalSearch, query: str, readable: Int32Vector, most: int) -> list[float]:
    """The formula, spelt out: k1 = 1.2, b = 0.75; the idf among the readable rows, the mean length over all."""
    stem = {word: index.terms(word)[0] for word in WORDS}
    total = np.zeros(ROWS)
    for weight, longest, seed in ((1.0, most, 9), (TITLE_WEIGHT, 3, 8)):
        texts = [Counter(stem[word] for word in words(row, longest, seed)) for row in range(ROWS)]
        mean = sum(text.total() for text in texts) / ROWS
        for term in index.terms(query):
            holding = sum(term in texts[row] for row in readable)
            idf = math.log(1 + (len(readable) - holding + 0.5) / (holding + 0.5))
            for row, text in enumerate(texts):
                frequency = text[term]
                norm = 1.2 * (1 - 0.75 + 0.75 * text.total() / mean)
                total[row] += weight * idf * frequency * 2.2 / (frequency + norm)
    return total.tolist()


@pytest.mark.parametrize("classes", [(1,), (1, 3), (1, 2, 3)])
def test_scores_are_those_of_the_formula_among_the_readable_rows(tmp_path: Path, classes: tuple[int, ...]) -> None:
    index = open_index(tmp_path / "lexical", "qdrant", 200)
    readable = np.flatnonzero(np.isin(ROW_CLASSES, classes)).astype(np.int32)
    for query in QUERIES:
        wanted = np.array(bm25(index, query, readable, 200))[readable]
        np.testing.assert_allclose(
            index.scores(query, readable.astype(np.int64), access=access(*classes)), wanted, rtol=1e-5
        )
        rows, scores = index.search(query, top_k=ROWS, access=access(*classes))
        assert sorted(rows.tolist()) == sorted(readable[wanted > 0].tolist())
        np.testing.assert_allclose(scores, np.sort(wanted[wanted > 0])[::-1], rtol=1e-5)


@pytest.mark.parametrize("classes", [(2,), (1, 2), (1, 2, 3)])
def test_hits_are_those_of_tantivy_where_it_does_not_round_lengths(tmp_path: Path, classes: tuple[int, ...]) -> None:
    """It stores lengths up to 40 words as they are."""
    ours = open_index(tmp_path / "ours", "qdrant", 40)
    theirs = open_index(tmp_path / "theirs", "tantivy", 40)
    for query in QUERIES:
        found, wanted = (index.search(query, top_k=15, access=access(*classes)) for index in (ours, theirs))
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5)
        clear = np.abs(np.diff(wanted[1], append=0.0, prepend=9.9)) > 1e-4  # where float sums decide nothing
        settled = clear[:-1] & clear[1:]
        assert found[0][settled].tolist() == wanted[0][settled].tolist()
        assert settled.any()


def test_rounded_lengths_change_scores_by_a_few_percent(tmp_path: Path) -> None:
    ours = open_index(tmp_path / "ours", "qdrant", 200)
    theirs = open_index(tmp_path / "theirs", "tantivy", 200)
    rows = np.arange(ROWS, dtype=np.int64)
    for query in QUERIES:
        scores = [index.scores(query, rows, access=access(1, 2, 3)) for index in (ours, theirs)]
        np.testing.assert_allclose(scores[0], scores[1], rtol=0.1)
