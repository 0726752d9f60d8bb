"""Questions hang together by document."""

from __future__ import annotations

from eval.clusters import document_clusters


def test_questions_of_one_document_are_together_also_by_way_of_a_third() -> None:
    found = document_clusters([["a"], ["b"], ["b", "a"], ["c"]])
    assert found[0] == found[1] == found[2] != found[3]


def test_questions_without_a_document_are_each_alone() -> None:
    assert len(set(document_clusters([[], [], ["a"]]))) == 3


def test_names_do_not_depend_on_the_order_of_documents() -> None:
    assert document_clusters([["b", "a"], ["c"]]) == document_clusters([["a", "b"], ["c"]])
