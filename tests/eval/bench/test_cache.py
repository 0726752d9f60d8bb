"""The cache's benchmark tells a first time from its repetitions, and begins each kind on an empty cache."""

from __future__ import annotations

from eval.bench.cache import measure, twice
from rag import Acl, Loremill, Principal

BOB = Principal("halden", "user:bob")


def test_each_question_is_asked_once_and_then_as_often_as_told() -> None:
    calls: list[str] = []
    figures = twice(calls.append, ["a", "b"], repeats=2)
    assert calls == ["a", "a", "a", "b", "b", "b"]
    assert set(figures) == {"first_p50_ms", "repeated_p50_ms", "repeated_p95_ms", "ratio"}


def test_searches_and_answers_are_measured_and_the_answers_are_what_is_kept_last(mill: Loremill) -> None:
    text = "The canteen opens at 11:30."
    mill.put_document(collection="company", principal=BOB, document_id="a", text=text, acl=Acl(("everyone",)))
    figures = measure(mill, BOB, ["When does the canteen open?"], repeats=1)
    assert list(figures) == ["search", "ask"]
    assert all(kind["first_p50_ms"] > 0 for kind in figures.values())
    assert len(mill._tenant("halden").retriever.cache) == 2  # one search of 12, one answer
