"""The chunking bench: offsets of langchain's chunks are exact, and the right chunk found scores as by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench.chunking import Question, Scores, by_corpus, compare, evaluate, ours, read_questions, recursive
from eval.bench.vectors import KeptVectors
from eval.spans import SpanScores
from indexes.minilm import MiniLM
from indexes.vocabulary import Document

LEAVE = "Parental leave is twenty weeks long. It may be split in two."
PUMPS = "The pump runs at forty bar. Its seal is changed each year."


def count_words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@pytest.mark.parametrize("overlap", [0, 5])
def test_chunks_of_the_other_splitter_lie_where_they_say(overlap: int) -> None:
    pytest.importorskip("langchain_text_splitters")
    text = "\n\n".join([LEAVE, PUMPS, LEAVE, LEAVE, PUMPS])
    chunks = recursive(10, overlap, count_words)(Document("d", "", "", text, "md"))
    assert len(chunks) > 5
    assert all(text[piece.start : piece.end] == piece.text for piece in chunks)
    assert [piece.start for piece in chunks] == sorted({piece.start for piece in chunks})


def test_a_question_scores_what_its_best_chunk_covers(minilm: MiniLM, tmp_path: Path) -> None:
    documents = [Document("leave", "", "", LEAVE, "md"), Document("pumps", "", "", PUMPS, "md")]
    question = Question("How long is parental leave?", "leave", ((0, LEAVE.index(" It")),))
    kept = KeptVectors(minilm, tmp_path)
    scores = evaluate(
        "ours", ours(64, count_words), documents, [question], vectors=kept, count_tokens=count_words, top_k=1
    )
    share = LEAVE.index(" It") / len(LEAVE)
    assert scores.n_chunks == 2
    assert scores.of_questions == (SpanScores(1.0, share, share),)
    again = KeptVectors(minilm, tmp_path).passages([LEAVE, PUMPS])
    assert again == pytest.approx(minilm.embed_passages([LEAVE, PUMPS]), abs=1e-5)


def test_each_baseline_is_compared_measure_by_measure() -> None:
    worse = Scores("worse", 1, 9.0, (SpanScores(0.2, 0.1, 0.1), SpanScores(0.4, 0.1, 0.1)))
    better = Scores("better", 1, 9.0, (SpanScores(0.4, 0.2, 0.2), SpanScores(0.6, 0.2, 0.2)))
    rows = compare([worse], better)
    assert [row[:2] for row in rows] == [("recall", "worse"), ("precision", "worse"), ("iou", "worse")]
    assert str(rows[0][-1]) == "+0.200 [+0.200, +0.200]"
    questions = [Question("a?", "x", ((0, 1),)), Question("b?", "y", ((0, 1),))]
    assert [row[:3] for row in by_corpus([worse], questions)] == [
        ("all", 2, "worse"),
        ("x", 1, "worse"),
        ("y", 1, "worse"),
    ]


def test_questions_are_read_with_their_spans(tmp_path: Path) -> None:
    path = tmp_path / "questions_df.csv"
    path.write_text(
        'question,references,corpus_id\n"Why, then?","[{""content"": ""ab"", ""start_index"": 3, ""end_index"": 5}]",wiki\n'
    )
    assert read_questions(path) == [Question("Why, then?", "wiki", ((3, 5),))]
