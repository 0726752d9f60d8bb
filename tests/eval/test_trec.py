"""BEIR and TREC files: what is read, what is refused and on which line, what a scorer will read back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.trec import read_qrels, read_queries, read_run, write_run
from indexes.errors import DatasetError

SCIFACT = Path(__file__).parents[2] / "../shared/data/scifact"


def file_with(folder: Path, text: str) -> Path:
    file = folder / "file"
    file.write_text(text, encoding="utf-8")
    return file


def test_queries_keep_the_order_of_the_file(tmp_path: Path) -> None:
    file = file_with(tmp_path, '{"_id": "b", "text": "two", "metadata": {}}\n{"_id": "a", "text": "one"}\n')
    assert list(read_queries(file).items()) == [("b", "two"), ("a", "one")]


def test_beir_and_trec_qrels_say_the_same(tmp_path: Path) -> None:
    beir = read_qrels(file_with(tmp_path, "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td 3\t2\n"))
    assert beir == {"q1": {"d1": 1, "d2": 0}, "q2": {"d 3": 2}}
    assert read_qrels(file_with(tmp_path, "q1 0 d1 1\nq1 0 d2 0\nq3\t0\td4\t-1\n")) == {
        "q1": {"d1": 1, "d2": 0},
        "q3": {"d4": -1},
    }


@pytest.mark.parametrize(
    ("read", "text", "line", "says"),
    [
        (read_queries, '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}', 2, "appears twice"),
        (read_queries, '{"_id": 3, "text": "x"}', 1, '"_id" must be'),
        (read_queries, '{"_id": "a", "text": " "}', 1, '"text" must be'),
        (read_queries, "\n", None, "no queries"),
        (read_qrels, "query-id\tcorpus-id\tscore\nq1\td1\tyes", 2, "not an integer"),
        (read_qrels, "q1\td1\t1\nq1\td1\t0", 2, "judged twice"),
        (read_qrels, "q1 d1", 1, "expected 3 or 4 columns, got 2"),
        (read_qrels, "q1\t\t1", 1, "empty"),
        (read_qrels, "query-id\tcorpus-id\tscore\n", None, "no judgements"),
        (read_run, "q1 Q0 d1 1 0.5", 1, "expected 6 columns"),
        (read_run, "q1 Q0 d1 1 0.5 t\nq1 Q0 d1 2 0.4 t", 2, "ranked twice"),
        (read_run, "q1 Q0 d1 one 0.5 t", 1, "not a number"),
        (read_run, "q1 Q0 d1 1 nan t", 1, "NaN"),
    ],
)
def test_each_malformed_line_is_refused_with_its_number(
    tmp_path: Path, read: Callable[[Path], Any], text: str, line: int | None, says: str
) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        read(file_with(tmp_path, text))
    assert caught.value.line == line


def test_a_run_is_read_by_score_whatever_its_lines_order_or_ranks(tmp_path: Path) -> None:
    file = file_with(tmp_path, "q Q0 low 1 0.1 t\nq Q0 high 9 0.9 t\nq Q0 tied 4 0.9 t\n")
    assert read_run(file) == {"q": [("tied", 0.9), ("high", 0.9), ("low", 0.1)]}


def test_equal_scores_are_written_so_that_trec_eval_keeps_the_served_order(tmp_path: Path) -> None:
    """It would order equal scores by document id, descending."""
    write_run(tmp_path / "run", {"q": [("a", 0.5), ("z", 0.5), ("m", 0.5)]})
    scores = [np.float32(score) for _, score in read_run(tmp_path / "run")["q"]]
    assert scores[0] > scores[1] > scores[2] > np.float32(0.4999)


def test_an_id_with_a_blank_is_refused_where_the_format_cannot_carry_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="white space"):
        write_run(tmp_path / "run", {"q": [("a b", 0.5)]})


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=30))
def test_a_written_run_is_read_back_in_order_and_strictly_falling(scores: list[float]) -> None:
    import tempfile

    ranking = [(f"d{place}", score) for place, score in enumerate(sorted(scores, reverse=True))]
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder) / "run", {"q": ranking} if ranking else {})
        back = read_run(Path(folder) / "run").get("q", [])
    assert [document_id for document_id, _ in back] == [document_id for document_id, _ in ranking]
    single = [np.float32(score) for _, score in back]
    assert all(above > below for above, below in pairwise(single))
    assert np.allclose(single, [score for _, score in ranking], rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not SCIFACT.is_dir(), reason="the public SciFact data is not beside the repository")
def test_every_judged_scifact_query_has_a_text() -> None:
    queries, qrels = read_queries(SCIFACT / "queries.jsonl"), read_qrels(SCIFACT / "qrels/test.tsv")
    assert (len(queries), len(qrels)) == (1109, 300)
    assert qrels.keys() <= queries.keys()
