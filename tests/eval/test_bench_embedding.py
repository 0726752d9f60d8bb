"""The embedding benchmark measures what it says, on texts and settings small enough to check by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from eval.bench.embedding import chunks, compare, retrieval, sets_of_texts, tokenizing
from indexes.arrays import Float32Matrix
from indexes.minilm import MiniLM


def test_a_ratio_says_how_many_times_as_fast_a_setting_is_as_the_reference() -> None:
    def slow(texts: Sequence[str]) -> Float32Matrix:
        time.sleep(0.2)
        return np.array([[1, 0], [1, 0]], np.float32)

    def quick(texts: Sequence[str]) -> Float32Matrix:
        time.sleep(0.02)
        return np.array([[1, 0], [0, 1]], np.float32)

    reference, other = compare({"slow": slow, "quick": quick}, ["a", "b"], repeats=3)
    assert reference.ratio == 1
    assert 2 < other.ratio < 11
    assert (other.mean_cosine, other.least_cosine) == (0.5, 0)


def test_chunks_are_spread_over_the_texts() -> None:
    texts = [" ".join([str(number)] * 300) for number in range(4)]
    assert [len(chunk.split()) for chunk in chunks(texts, 12)] == [140, 140, 20] * 4
    assert [chunk.split()[0] for chunk in chunks(texts, 4)] == ["0", "1", "2", "3"]


def test_sets_that_are_absent_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sets_of_texts(tmp_path, 3) == {}


def test_retrieval_is_perfect_where_each_query_is_a_document(minilm: MiniLM, tmp_path: Path) -> None:
    titles = ["parental leave", "steel prices", "heart valves"]
    (tmp_path / "qrels").mkdir()
    for name, rows in {
        "corpus.jsonl": [{"_id": f"d{n}", "title": title, "text": title} for n, title in enumerate(titles)],
        "queries.jsonl": [{"_id": f"q{n}", "text": title} for n, title in enumerate(titles)],
    }.items():
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(3))
    )
    assert retrieval(minilm, tmp_path, "test") == pytest.approx(1)


def test_what_surrounds_encoding_is_measured_on_the_texts_given(minilm: MiniLM) -> None:
    figures = {name: value for name, value, _ in tokenizing(minilm, ["parental leave is twenty weeks"] * 20)}
    assert all(value > 0 for name, value in figures.items() if name != "padding")
    assert figures["tokenizing, words known"] < 1
