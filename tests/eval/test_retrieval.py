"""Retrieval evaluation over a search whose hits are known, so that every figure can be worked out by hand."""

from __future__ import annotations

from math import log2
from pathlib import Path

import pytest

from eval.retrieval import collapse, evaluate_retrieval
from eval.trec import read_run
from indexes.errors import DatasetError
from indexes.vocabulary import Hit, Principal

READER = Principal("bench", "user:reader")
QUERIES = {"q1": "first", "q2": "second", "unjudged": "third"}
QRELS = {"q1": {"d2": 1}, "q2": {"d9": 1}}


def found(*chunks: tuple[str, float]) -> list[Hit]:
    return [
        Hit(rank, score, name, f"{name}/{rank}", f"file:{name}", name, "text", 0, 4, {})
        for rank, (name, score) in enumerate(chunks, start=1)
    ]


class Searched:
    """Gives fixed hits and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, str, Principal]] = []

    def search(
        self, query: str, *, collection: str, principal: Principal, top_k: int = 10, mode: str = "hybrid"
    ) -> list[Hit]:
        self.asked.append((query, top_k, mode, principal))
        return found(("d1", 0.9), ("d1", 0.8), ("d2", 0.8), ("d3", 0.8)) if query == "first" else []


def test_chunks_collapse_to_documents_at_the_place_of_their_best_chunk() -> None:
    assert collapse(found(("a", 0.9), ("b", 0.7), ("a", 0.6), ("c", 0.5), ("b", 0.4))) == [
        ("a", 0.9),
        ("b", 0.7),
        ("c", 0.5),
    ]


def test_the_means_run_over_all_judged_queries_and_only_these_are_searched() -> None:
    mill = Searched()
    report = evaluate_retrieval(
        mill, collection="c", queries=QUERIES, qrels=QRELS, principal=READER, mode="dense", top_k=50
    )
    assert mill.asked == [("first", 50, "dense", READER), ("second", 50, "dense", READER)]
    expected = {"ndcg@10": (1 / log2(3)) / 2, "recall@10": 0.5, "recall@100": 0.5, "mrr@10": 0.25}
    assert report.means == pytest.approx(expected)
    assert report.per_query["q2"] == {"ndcg@10": 0.0, "recall@10": 0.0, "recall@100": 0.0, "mrr@10": 0.0}
    document = report.to_json()
    assert (document["queries"], document["mode"]) == (2, "dense")
    assert document["metrics"] == pytest.approx(expected)
    assert 0 <= document["latency_ms"]["p50"] <= document["latency_ms"]["p95"]


def test_the_run_file_has_the_documents_in_the_served_order(tmp_path: Path) -> None:
    run_out = tmp_path / "run.trec"
    evaluate_retrieval(Searched(), collection="c", queries=QUERIES, qrels=QRELS, principal=READER, run_out=run_out)
    assert [name for name, _ in read_run(run_out)["q1"]] == ["d1", "d2", "d3"]
    assert run_out.read_text().splitlines()[0].endswith("loremill-hybrid")


def test_files_are_read_where_paths_are_given_and_progress_counts_queries(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"_id": "q1", "text": "first"}\n')
    (tmp_path / "r.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    seen: list[tuple[int, int]] = []
    report = evaluate_retrieval(
        Searched(),
        collection="c",
        queries=tmp_path / "q.jsonl",
        qrels=tmp_path / "r.tsv",
        principal=READER,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert report.means["mrr@10"] == 1.0
    assert seen == [(1, 1)]


def test_a_judged_query_without_text_is_refused_before_any_search() -> None:
    mill = Searched()
    with pytest.raises(DatasetError, match="1 judged queries have no text, first 'q9'"):
        evaluate_retrieval(mill, collection="c", queries=QUERIES, qrels={"q9": {"d": 1}}, principal=READER)
    assert mill.asked == []
