"""Fused search over one build: each part filters by itself, and hybrid scores every candidate in both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from indexes.access import AccessFilter
from indexes.builds import Build, BuildConfig, ChunkKey, Corpus, write_build
from indexes.fusion import convex
from indexes.recall import RecallSampler
from indexes.search import FusionSettings, SearchMode, search_rows
from indexes.vectors import Plan
from indexes.vocabulary import Principal

ROWS, DIM = 60, 8
WORDS = ["leave", "travel", "budget", "train", "flight", "invoice"]
RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.normal(size=(ROWS, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
KEYS = [ChunkKey(f"{row:032x}", f"doc-{row % 12}", f"hash-{row}") for row in range(ROWS)]
TEXTS = [("", " ".join(RANDOM.choice(WORDS, size=4))) for _ in range(ROWS)]
CLASSES = {f"doc-{number}": number % 3 + 1 for number in range(12)}
ROW_CLASSES = np.array([CLASSES[key.document_id] for key in KEYS])
QUERY = VECTORS[:1]


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, listed: Callable[..., Corpus]) -> Build:
    folder = tmp_path_factory.mktemp("builds")
    config = BuildConfig("test/1", DIM, "cut/1", "faiss")
    manifest = write_build(folder, listed(KEYS, VECTORS, TEXTS, CLASSES), config=config)
    build = Build(folder / manifest.build_id)
    build.carry_rights(lambda _since: CLASSES, epoch=1)
    return build


@pytest.mark.parametrize("mode", list(SearchMode))
@pytest.mark.parametrize("readable", [(), (2,), (1, 3)])
def test_no_mode_returns_a_row_that_may_not_be_read(build: Build, mode: SearchMode, readable: tuple[int, ...]) -> None:
    found = search_rows(build, "leave travel", vector=QUERY, top_k=ROWS, mode=mode, access=access(*readable))
    rows, scores = found.rows, found.scores
    assert set(ROW_CLASSES[rows].tolist()) <= set(readable)
    assert (len(rows) > 0) == (len(readable) > 0)
    if mode is not SearchMode.LEXICAL:
        assert len(rows) == np.isin(ROW_CLASSES, readable).sum()
    assert (np.diff(scores) <= 0).all()


def test_hybrid_is_the_convex_fusion_of_both_scores_of_every_readable_row(build: Build) -> None:
    found = search_rows(
        build, "leave travel", vector=QUERY, top_k=10, mode=SearchMode.HYBRID, access=access(1, 2),
        fusion=FusionSettings(candidates=ROWS, dense_weight=0.6),
    )  # fmt: skip
    candidates = np.flatnonzero(np.isin(ROW_CLASSES, (1, 2)))
    fused = convex(
        build.vectors.scores(QUERY, candidates),
        build.lexical.scores("leave travel", candidates, access=access(1, 2)),
        dense_weight=0.6,
    )
    order = np.lexsort((candidates, -fused))[:10]
    assert found.rows.tolist() == candidates[order].tolist()
    assert found.scores.tolist() == fused[order].tolist()


def test_a_candidate_of_one_part_alone_is_scored_by_the_other_too(build: Build) -> None:
    """With one candidate a part, both come with the scores that they would have among all."""
    (dense,) = build.vectors.search(QUERY, top_k=1, access=access(1, 2, 3))[0].rows
    (lexical,), _ = build.lexical.search("invoice flight", top_k=1, access=access(1, 2, 3))
    assert dense != lexical, "the two parts agree: the test shows nothing"
    found = search_rows(
        build, "invoice flight", vector=QUERY, top_k=1, mode=SearchMode.HYBRID, access=access(1, 2, 3),
        fusion=FusionSettings(candidates=1),
    )  # fmt: skip
    both = np.array(sorted([dense, lexical]))
    fused = convex(
        build.vectors.scores(QUERY, both), build.lexical.scores("invoice flight", both, access=access(1, 2, 3))
    )
    assert found.scores.tolist() == [fused.max()]
    assert found.rows.tolist() == [both[fused.argmax()]]


def test_more_hits_than_candidates_may_be_asked_for(build: Build) -> None:
    found = search_rows(
        build, "leave", vector=QUERY, top_k=50, mode=SearchMode.HYBRID, access=access(1, 2, 3),
        fusion=FusionSettings(candidates=5),
    )  # fmt: skip
    assert len(found.rows) == 50


def test_a_query_without_known_words_is_answered_by_its_meaning_alone(build: Build) -> None:
    hybrid = search_rows(build, "zzz", vector=QUERY, top_k=5, mode=SearchMode.HYBRID, access=access(1))
    dense = search_rows(build, "zzz", vector=QUERY, top_k=5, mode=SearchMode.DENSE, access=access(1))
    assert hybrid.rows.tolist() == dense.rows.tolist()


@pytest.mark.parametrize("mode", list(SearchMode))
def test_a_metadata_filter_is_anded_in_every_mode(build: Build, mode: SearchMode) -> None:
    where = build.rows_of({"doc-0", "doc-1"})
    found = search_rows(build, "leave travel", vector=QUERY, top_k=ROWS, mode=mode, access=access(1), where=where)
    assert {KEYS[row].document_id for row in found.rows} == {"doc-0"}


def test_the_plan_counts_the_rows_that_pass_both_filters_whatever_was_asked_for(build: Build) -> None:
    """What may not be read and what does not match is not counted, in whichever mode vectors are searched."""
    where = build.rows_of({"doc-0", "doc-1", "doc-3"})
    for mode in (SearchMode.DENSE, SearchMode.HYBRID):
        found = search_rows(build, "leave", vector=QUERY, top_k=3, mode=mode, access=access(1), where=where)
        assert found.plan == Plan("exact", 10, 10)
    nothing = search_rows(build, "leave", vector=QUERY, top_k=3, mode=SearchMode.DENSE, access=access())
    assert nothing.plan == Plan("none", 0, 0)
    lexical = search_rows(build, "leave", vector=None, top_k=3, mode=SearchMode.LEXICAL, access=access(1))
    assert lexical.plan is None


def test_searches_of_vectors_are_counted_and_no_others(build: Build) -> None:
    counted = RecallSampler(0)
    for mode in SearchMode:
        search_rows(build, "leave", vector=QUERY, top_k=3, mode=mode, access=access(1), recall=counted)
    assert {name: counts.searches for name, counts in counted.counts().items()} == {"exact": 2}
