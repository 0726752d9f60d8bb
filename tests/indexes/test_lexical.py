"""Lexical search: the access filter is a clause of the query, checked against filtering the scores of everything."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.access import UNREADABLE, AccessFilter
from indexes.errors import BuildCorrupt, UnsupportedFilter
from indexes.lexical import LexicalRow
from indexes.lexical_backends import LEXICAL_BACKENDS, LexicalBackend, LexicalSearch, lexical_backend
from indexes.vectors import RowScores
from indexes.vocabulary import Principal

WORDS = ["leave", "travel", "budget", "train", "flight", "invoice", "parental", "hotel", "salary", "notice"]
DOCUMENTS, PER_DOCUMENT, CLASSES = 60, 3, 5
DOCUMENT_CLASSES = np.random.default_rng(5).integers(1, CLASSES + 1, size=DOCUMENTS).astype(np.int32)
ROW_DOCUMENTS = np.random.default_rng(6).permutation(np.repeat(np.arange(DOCUMENTS, dtype=np.int32), PER_DOCUMENT))
BUILT = DOCUMENT_CLASSES[ROW_DOCUMENTS]
EVERYTHING = tuple(range(1, CLASSES + 1))


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def text(row: int) -> str:
    return " ".join(np.random.default_rng(row // 2).choice(WORDS, size=12))  # each text stands there twice: ties


@pytest.fixture(scope="module", params=sorted(LEXICAL_BACKENDS))
def backend(request: pytest.FixtureRequest) -> LexicalBackend:
    """`qdrant` is the client's local mode."""
    backend = lexical_backend(request.param)
    if reason := backend.unavailable():
        pytest.skip(f"{request.param}: {reason}")
    return backend


@pytest.fixture(scope="module")
def folder(backend: LexicalBackend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lexical") / "lexical"
    rows = [
        LexicalRow(int(ROW_DOCUMENTS[row]), int(BUILT[row]), f"Title {row % 7}", text(row)) for row in range(len(BUILT))
    ]
    backend.build(rows, folder)
    return folder


def open_index(backend: LexicalBackend, folder: Path) -> LexicalSearch:
    return backend.open(folder, row_documents=ROW_DOCUMENTS, built_classes=BUILT)


@pytest.fixture(scope="module")
def opened(backend: LexicalBackend, folder: Path) -> LexicalSearch:
    return open_index(backend, folder)


@pytest.fixture
def index(opened: LexicalSearch) -> LexicalSearch:
    opened.assign_classes(BUILT)
    return opened


def expected(index: LexicalSearch, query: str, who: AccessFilter, readable: np.ndarray, top_k: int) -> RowScores:
    """Filter the scores of all rows, with ties by ascending row."""
    scores = index.scores(query, np.arange(len(index), dtype=np.int64), access=who)
    rows = np.flatnonzero(readable & (scores > 0))
    order = np.lexsort((rows, -scores[rows]))[:top_k]
    return rows[order], scores[rows][order]


def check(found: RowScores, wanted: RowScores) -> None:
    assert found[0].tolist() == wanted[0].tolist()
    assert found[1].tolist() == wanted[1].tolist()


@pytest.mark.parametrize("top_k", [1, 5, 1000])
@pytest.mark.parametrize("readable", [(), (99,), (1,), (2, 4), EVERYTHING])
def test_the_filter_inside_the_query_finds_what_filtering_everything_finds(
    index: LexicalSearch, readable: tuple[int, ...], top_k: int
) -> None:
    for query in ("parental leave", "flight", "title", "hotel hotel notice budget"):
        found = index.search(query, top_k=top_k, access=access(*readable))
        check(found, expected(index, query, access(*readable), np.isin(BUILT, readable), top_k))


def test_moved_classes_hold_at_the_next_query_though_the_postings_keep_the_old_ones(index: LexicalSearch) -> None:
    for shift in (1, 2):
        moved = ((DOCUMENT_CLASSES + shift) % CLASSES + 1).astype(np.int32)
        moved[3] = UNREADABLE
        rows = moved[ROW_DOCUMENTS]
        index.assign_classes(rows)
        for readable in [(), (1,), (2, 3), EVERYTHING]:
            found = index.search("parental leave", top_k=20, access=access(*readable))
            check(found, expected(index, "parental leave", access(*readable), np.isin(rows, readable), 20))


def test_classes_that_move_back_are_read_from_the_postings_again(index: LexicalSearch) -> None:
    before = index.search("travel", top_k=9, access=access(1))
    index.assign_classes(np.full_like(BUILT, UNREADABLE))
    assert len(index.search("travel", top_k=9, access=access(*EVERYTHING))[0]) == 0
    index.assign_classes(BUILT)
    check(index.search("travel", top_k=9, access=access(1)), before)


def test_a_metadata_filter_is_anded(index: LexicalSearch) -> None:
    where = (DOCUMENT_CLASSES % 2 == 1)[ROW_DOCUMENTS] & (ROW_DOCUMENTS < 40)
    found = index.search("budget", top_k=30, access=access(1, 2), where=where)
    check(found, expected(index, "budget", access(1, 2), where & np.isin(BUILT, (1, 2)), 30))
    assert len(index.search("budget", top_k=30, access=access(1), where=np.zeros(len(BUILT), bool))[0]) == 0


@pytest.mark.parametrize("sifted_from", [0, 10**9], ids=["a clause", "sifted"])
@settings(deadline=None, max_examples=40)  # Qdrant's local mode filters in Python
@given(chosen=st.sets(st.integers(0, DOCUMENTS - 1)), top_k=st.sampled_from([1, 5, 1000]), best_first=st.booleans())
def test_a_filter_finds_the_same_as_a_clause_and_sifted(
    backend: LexicalBackend, folder: Path, sifted_from: int, chosen: set[int], top_k: int, best_first: bool
) -> None:
    index = open_index(backend, folder)
    index.assign_classes(BUILT)
    if not best_first and chosen:  # those that pass rank last, so that too few are among the first
        scores = index.scores("budget", np.arange(len(BUILT), dtype=np.int64), access=access(*EVERYTHING))
        chosen = set(ROW_DOCUMENTS[np.argsort(scores)[: len(chosen)]].tolist())
    where = np.isin(ROW_DOCUMENTS, list(chosen))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexes.lexical._SIFTED_FROM", sifted_from)
        found = index.search("budget travel", top_k=top_k, access=access(1, 2, 3), where=where)
    check(found, expected(index, "budget travel", access(1, 2, 3), where & np.isin(BUILT, (1, 2, 3)), top_k))


@pytest.mark.parametrize("moved", [False, True])
def test_what_stands_in_unreadable_rows_changes_no_score(backend: LexicalBackend, tmp_path: Path, moved: bool) -> None:
    """Two indexes that differ only in the words of rows that cannot be read score the readable ones alike."""
    classes = np.array([1, 1, 1, 2, 2], dtype=np.int32)
    rows = np.arange(5, dtype=np.int32)
    found = []
    for number, secret in enumerate(["merger talks now", "kiln repair soon"]):
        texts = ["Rumours say merger", "Kiln text about heat", "Nothing of note here", secret, secret]
        folder = tmp_path / str(number)
        built = np.zeros_like(classes) if moved else classes
        backend.build((LexicalRow(row, int(built[row]), "", text) for row, text in enumerate(texts)), folder)
        index = backend.open(folder, row_documents=rows, built_classes=built)
        index.assign_classes(classes)
        found.append(index.search("merger kiln", top_k=5, access=access(1)))
        assert len(index.search("merger kiln", top_k=5, access=access(1, 2))[0]) == 4
    assert found[0][0].tolist() == found[1][0].tolist() == [0, 1]
    assert found[0][1].tolist() == pytest.approx(found[1][1].tolist(), rel=1e-5)


def test_equal_texts_come_by_ascending_row(index: LexicalSearch) -> None:
    rows, scores = index.search("salary", top_k=50, access=access(*EVERYTHING))
    ties = [(one, other) for one, other, a, b in zip(rows, rows[1:], scores, scores[1:], strict=False) if a == b]
    assert ties
    assert all(one < other for one, other in ties)


@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_a_tie_at_the_border_of_top_k_is_broken_by_row(backend: LexicalBackend, tmp_path: Path, top_k: int) -> None:
    rows, classes = np.arange(200, dtype=np.int32), np.ones(200, dtype=np.int32)
    backend.build((LexicalRow(row, 1, "", "the same words") for row in range(200)), tmp_path / "lexical")
    index = backend.open(tmp_path / "lexical", row_documents=rows, built_classes=classes)
    index.assign_classes(classes)
    assert index.search("words", top_k=top_k, access=access(1))[0].tolist() == list(range(top_k))


def test_a_search_before_any_rights_are_known_is_refused(backend: LexicalBackend, folder: Path) -> None:
    with pytest.raises(UnsupportedFilter):
        open_index(backend, folder).search("leave", top_k=3, access=access(1))


def test_rights_for_another_number_of_rows_are_refused(index: LexicalSearch) -> None:
    with pytest.raises(BuildCorrupt):
        index.assign_classes(BUILT[:-1])


@pytest.mark.parametrize(
    "query",
    ["", "   ", "the of and", "?!", 'leave AND (NOT "travel', "text:leave^9", "leave~2 *", "+leave -leave", "[a TO b]", "\\",
     "leave\x00travel", "🏖️ leave 🏖️", "休暇 とは", "ﬁnance", "a" * 70_000, "leave " * 10_000,
     " ".join(f"word{number}" for number in range(10_000))],
    ids=lambda query: repr(query[:12]),
)  # fmt: skip
def test_no_query_is_syntax(index: LexicalSearch, query: str) -> None:
    """Operators, quotes, emoji and 10,000 words are words or nothing, and never an error."""
    found = index.search(query, top_k=5, access=access(*EVERYTHING))
    check(found, expected(index, query, access(*EVERYTHING), np.ones(len(BUILT), bool), 5))
    assert (len(found[0]) > 0) == ("leave" in query or "travel" in query)


@settings(deadline=None)
@given(st.text(max_size=50))
def test_any_text_is_a_query(opened: LexicalSearch, query: str) -> None:
    opened.assign_classes(BUILT)
    rows, scores = opened.search(query, top_k=5, access=access(*EVERYTHING))
    assert len(rows) == len(scores) <= 5


def test_words_match_by_stem_whatever_their_case_and_accents(backend: LexicalBackend, tmp_path: Path) -> None:
    rows = [LexicalRow(0, 1, "", "Les CAFÉS are booking flights"), LexicalRow(1, 1, "Invoices", "nothing of that")]
    backend.build(rows, tmp_path / "lexical")
    index = backend.open(
        tmp_path / "lexical", row_documents=np.array([0, 1], np.int32), built_classes=np.array([1, 1], np.int32)
    )
    index.assign_classes(np.array([1, 1], np.int32))
    for query, row in [("cafe", 0), ("Booked", 0), ("flight", 0), ("invoice", 1)]:
        assert index.search(query, top_k=2, access=access(1))[0].tolist() == [row], query


def test_an_empty_index_finds_nothing(backend: LexicalBackend, tmp_path: Path) -> None:
    backend.build([], tmp_path / "lexical")
    none = np.empty(0, np.int32)
    index = backend.open(tmp_path / "lexical", row_documents=none, built_classes=none)
    index.assign_classes(none)
    assert len(index.search("leave", top_k=3, access=access(1))[0]) == len(index) == 0


@pytest.mark.parametrize("damage", ["missing", "no meta", "torn meta", "no postings"])
def test_a_damaged_folder_is_reported_as_a_corrupt_build(
    backend: LexicalBackend, folder: Path, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "lexical"
    shutil.copytree(folder, copy)
    (meta,) = (path for path in copy.iterdir() if path.name in {"meta.json", "pointer.json"})
    if damage == "missing":
        shutil.rmtree(copy)
    elif damage == "no meta":
        meta.unlink()
    elif damage == "torn meta":
        meta.write_text(meta.read_text()[:50])
    else:
        for path in copy.iterdir():
            if path.is_file() and path != meta:
                path.unlink()
    with pytest.raises(BuildCorrupt, match="--full"):
        open_index(backend, copy)
