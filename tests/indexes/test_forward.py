"""The forward index scores given rows term by term, as BM25 says with a pencil."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.access import AccessFilter
from indexes.errors import BuildCorrupt
from indexes.forward import ForwardIndex, ForwardWriter, term_digest
from indexes.lexical import ANALYSIS, LexicalIndex, LexicalRow, analyzer, build_lexical
from indexes.vocabulary import Principal

ROWS = [("", "kiln kiln heat"), ("kiln", "leave"), ("", "leave travel leave leave leave"), ("", "")]
ALL = np.arange(len(ROWS))


def written(folder: Path, rows: list[tuple[str, str]]) -> ForwardIndex:
    writer = ForwardWriter(str.split)
    for title, text in rows:
        writer.add(title, text)
    writer.save(folder)
    return ForwardIndex(folder)


def weights(*idfs: tuple[float, float]) -> np.ndarray:
    return np.array(idfs, dtype=np.float64)


def test_a_term_adds_its_weight_times_its_saturated_count_in_both_fields(tmp_path: Path) -> None:
    """Mean lengths: titles 1/4, texts 9/4 words. With k1 = 1 and b = 1 a count c in a text of length l gives 2c / (c + l / mean)."""
    index = written(tmp_path, ROWS)
    found = index.term_scores(["kiln", "leave"], ALL, weights=weights((1.0, 3.0), (5.0, 10.0)), k1=1.0, b=1.0)
    assert found[0].tolist() == pytest.approx([3 * 4 / (2 + 3 / 2.25), 1 * 2 / (1 + 1 / 0.25), 0, 0])
    assert found[1].tolist() == pytest.approx([0, 10 * 2 / (1 + 1 / 2.25), 10 * 8 / (4 + 5 / 2.25), 0])


def test_without_k1_a_term_counts_once_however_often_it_stands_there(tmp_path: Path) -> None:
    found = written(tmp_path, ROWS).term_scores(["leave"], ALL, weights=weights((5.0, 10.0)), k1=0.0, b=0.5)
    assert found.tolist() == [[0, 10, 10, 0]]


def test_rows_come_in_the_order_asked_for_and_unknown_terms_add_nothing(tmp_path: Path) -> None:
    index = written(tmp_path, ROWS)
    every = index.term_scores(["leave", "zebra"], ALL, weights=weights((1, 1), (1, 1)))
    some = index.term_scores(["leave", "zebra"], np.array([2, 0]), weights=weights((1, 1), (1, 1)))
    assert some.tolist() == every[:, [2, 0]].tolist()
    assert not every[1].any()
    assert index.term_scores([], ALL, weights=np.empty((0, 2))).shape == (0, 4)
    assert index.term_scores(["leave"], ALL[:0], weights=weights((1, 1))).shape == (1, 0)


def test_similarity_is_the_cosine_between_sets_of_words(tmp_path: Path) -> None:
    found = written(tmp_path, ROWS).similarity(ALL)
    assert np.diag(found).tolist() == pytest.approx([1, 1, 1, 0])
    assert found[1, 2] == pytest.approx(1 / math.sqrt(1 * 2))
    assert found[0, 1] == 0, "a word in the title is none of the text"


def test_an_index_of_no_rows_opens(tmp_path: Path) -> None:
    assert len(written(tmp_path, [])) == 0


def test_more_repetitions_than_a_byte_holds_count_as_a_byte_holds(tmp_path: Path) -> None:
    index = written(tmp_path, [("", "a " * 255), ("", "a " * 300)])
    one, other = index.term_scores(["a"], np.arange(2), weights=weights((0, 1)), k1=1.0, b=0.0)[0]
    assert one == other == pytest.approx(2 * 255 / 256)


@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text("aé -—ß👩休x'1_\x00\n", max_size=80))
def test_words_are_those_of_the_whole_text_analysed_at_once(text: str) -> None:
    analyse = analyzer(ANALYSIS)
    assert ForwardWriter(analyse.analyze)._digests(text) == [term_digest(term) for term in analyse.analyze(text)]


def test_words_that_an_analysis_drops_are_dropped() -> None:
    analyse = analyzer(ANALYSIS)
    found = ForwardWriter(analyse.analyze)._digests(f"short {'long' * 30} end")
    assert found == [term_digest("short"), term_digest("end")]


@pytest.mark.parametrize("name", ["starts", "terms", "counts", "lengths"])
@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(b"x"), lambda path: np.save(path, np.zeros(3))]
)
def test_a_damaged_file_is_reported_as_a_corrupt_build(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    written(tmp_path, ROWS)
    damage(tmp_path / f"{name}.npy")
    with pytest.raises(BuildCorrupt, match="--full"):
        ForwardIndex(tmp_path)


def lexical(folder: Path, texts: list[str], classes: list[int]) -> LexicalIndex:
    of_rows, rows = np.array(classes, np.int32), np.arange(len(texts), dtype=np.int32)
    build_lexical((LexicalRow(row, classes[row], "", text) for row, text in enumerate(texts)), folder)
    index = LexicalIndex(folder, row_documents=rows, built_classes=of_rows)
    index.assign_classes(of_rows)
    return index


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def test_with_the_constants_of_the_postings_the_sum_is_their_score(tmp_path: Path) -> None:
    index = lexical(
        tmp_path, ["the kiln and the heat", "a kiln", "leave the kiln", "parental leave", "nothing"], [1, 1, 1, 2, 2]
    )
    for readable in [(1,), (2,), (1, 2)]:
        rows = np.flatnonzero(np.isin([1, 1, 1, 2, 2], readable))
        parts = index.term_scores("the kiln leave", rows, access=access(*readable), k1=1.2, b=0.75)
        assert parts.shape == (3, len(rows))
        wanted = index.scores("the kiln leave", rows, access=access(*readable))
        assert parts.sum(axis=0).tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_what_stands_in_unreadable_rows_changes_no_term_score(tmp_path: Path) -> None:
    texts, found = ["Rumours say merger soon", "Kiln text about heat"], []
    for number, secret in enumerate(["merger talks begin now", "kiln repair begins soon"]):
        index = lexical(tmp_path / str(number), [*texts, secret, secret], [1, 1, 2, 2])
        found.append(index.term_scores("merger kiln", np.arange(2), access=access(1)))
    assert found[0].tolist() == found[1].tolist()
    assert found[0].any()


def test_a_build_of_before_the_forward_index_gives_its_scores_in_one_line(tmp_path: Path) -> None:
    texts = ["the kiln", "parental leave"]
    new = lexical(tmp_path, texts, [1, 1])
    rows = np.arange(2, dtype=np.int32)
    classes = np.ones(2, np.int32)
    old = LexicalIndex(
        tmp_path, row_documents=rows, built_classes=classes, analysis="words-lower-fold-stop-snowball-en/1"
    )
    old.assign_classes(classes)
    assert old.terms("the kiln") == ["kiln"]
    found = old.term_scores("kiln", np.arange(2), access=access(1))
    assert found.tolist() == [new.scores("kiln", np.arange(2), access=access(1)).tolist()]


def test_a_row_holds_a_term_where_postings_and_entries_both_say_so(tmp_path: Path) -> None:
    index = lexical(tmp_path, ["the kiln", "parental leave"], [1, 1])
    assert index.holds(0, ["kiln", "the"])
    assert not index.holds(1, ["kiln"])
    writer = ForwardWriter(analyzer(ANALYSIS).analyze)
    for text in ("words", "parental leave"):
        writer.add("kiln", text)
    writer.save(tmp_path / "terms")
    index = LexicalIndex(tmp_path, row_documents=np.arange(2, dtype=np.int32), built_classes=np.ones(2, np.int32))
    assert not index.holds(0, ["kiln"])
    assert index.holds(1, index.terms("parental leave"))
