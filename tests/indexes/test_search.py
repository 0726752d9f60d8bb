"""Fused search over one build: each part filters by itself, and hybrid scores every candidate in both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest

from indexes.access import AccessFilter
from indexes.builds import Build, BuildConfig, ChunkKey, Corpus, write_build
from indexes.errors import ConfigError
from indexes.fusion import convex, with_document_mean, with_document_terms
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


def fused(build: Build, query: str, rows: np.ndarray, who: AccessFilter, settings: FusionSettings) -> np.ndarray:
    """The scores of all given rows, which must be all of their documents', by the pure functions."""
    groups = np.unique([KEYS[row].document_id for row in rows], return_inverse=True)[1]
    dense = with_document_mean(build.vectors.scores(QUERY, rows), groups, share=settings.dense_context)
    terms = build.lexical.term_scores(query, rows, access=who, k1=settings.k1, b=settings.b)
    return convex(
        dense, with_document_terms(terms, groups, share=settings.lexical_context), dense_weight=settings.dense_weight
    )


@pytest.mark.parametrize(
    "settings",
    [
        FusionSettings(candidates=ROWS),
        FusionSettings(candidates=ROWS, dense_weight=0.6, dense_context=0.0, lexical_context=0.0, k1=1.2, b=0.75),
    ],
)
def test_hybrid_is_the_convex_fusion_of_both_scores_of_every_readable_row(
    build: Build, settings: FusionSettings
) -> None:
    found = search_rows(
        build, "leave travel", vector=QUERY, top_k=10, mode=SearchMode.HYBRID, access=access(1, 2), fusion=settings
    )
    rows, scores = found.rows, found.scores
    candidates = np.flatnonzero(np.isin(ROW_CLASSES, (1, 2)))
    wanted = fused(build, "leave travel", candidates, access(1, 2), settings)
    order = np.lexsort((candidates, -wanted))[:10]
    assert rows.tolist() == candidates[order].tolist()
    assert scores.tolist() == wanted[order].tolist()


def test_a_candidate_of_one_part_alone_is_scored_by_the_other_too(build: Build) -> None:
    """With one candidate a part, both come with the scores that their documents' chunks give them."""
    (dense,) = build.vectors.search(QUERY, top_k=1, access=access(1, 2, 3))[0].rows
    (lexical,), _ = build.lexical.search("invoice flight", top_k=1, access=access(1, 2, 3))
    assert dense != lexical, "the two parts agree: the test shows nothing"
    found = search_rows(
        build, "invoice flight", vector=QUERY, top_k=ROWS, mode=SearchMode.HYBRID, access=access(1, 2, 3),
        fusion=FusionSettings(candidates=1),
    )  # fmt: skip
    rows, scores = found.rows, found.scores
    assert len(rows) == ROWS
    found = search_rows(
        build, "invoice flight", vector=QUERY, top_k=1, mode=SearchMode.HYBRID, access=access(1, 2, 3),
        fusion=FusionSettings(candidates=1),
    )  # fmt: skip
    rows, scores = found.rows, found.scores
    assert len(rows) == 1
    assert rows[0] in (dense, lexical)
    assert scores[0] == scores.max()


def test_diversity_reorders_the_candidates_and_keeps_the_best_first(build: Build) -> None:
    def ask(diversity: float) -> tuple[list[int], np.ndarray]:
        found = search_rows(
            build, "leave travel", vector=QUERY, top_k=10, mode=SearchMode.HYBRID, access=access(1, 2),
            fusion=FusionSettings(diversity=diversity),
        )  # fmt: skip
        rows, scores = found.rows, found.scores
        return rows.tolist(), scores

    plain, _ = ask(0.0)
    diverse, values = ask(0.6)
    assert diverse[0] == plain[0]
    assert diverse != plain
    assert (np.diff(values) <= 0).all()
    assert set(ROW_CLASSES[diverse].tolist()) <= {1, 2}
    alike = [build.lexical.similarity(np.array(rows)).mean() for rows in (plain, diverse)]
    assert alike[1] < alike[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("candidates", 0), ("candidates", 1001), ("dense_weight", 1.1), ("dense_context", -0.1), ("lexical_context", 2), ("k1", -1),
        ("b", 1.5), ("diversity", 1.0), ("diversity", -0.1), ("rerank", ""), ("rerank_depth", 0), ("k1", float("nan")),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        FusionSettings(**{name: value})


def test_a_release_of_before_context_goes_on_without_it() -> None:
    old = FusionSettings.stored({"candidates": 100, "dense_weight": 0.7})
    assert (old.candidates, old.dense_weight, old.dense_context, old.lexical_context) == (100, 0.7, 0.0, 0.0)
    assert FusionSettings.stored(asdict(FusionSettings())) == FusionSettings()


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
