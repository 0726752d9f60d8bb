"""Bad ratings become regression cases; the last rating of a question counts, and no answer that was rated bad passes for right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.dataset_check import check_dataset
from eval.datasets import write_dataset
from eval.feedback import NEEDS_REFERENCE, read_feedback, stored_feedback
from indexes.errors import CollectionNotFound, DatasetError
from indexes.vocabulary import Principal
from tests.conftest import OpenMill, WriteTree

BAD: dict[str, Any] = {
    "question": "How long is leave?",
    "answer": "10 weeks [1].",
    "principal": "alice",
    "rating": "down",
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "ratings.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def test_a_bad_rating_with_a_correction_is_a_case_that_a_gate_can_rest_on(tmp_path: Path) -> None:
    rated = {**BAD, "correction": "It is 20 weeks.", "correct_document_ids": ["leave.md"], "comment": "old policy"}
    (case,) = read_feedback(written(tmp_path, rated)).samples
    assert (case.user_input, case.reference, case.principal) == ("How long is leave?", "It is 20 weeks.", "alice")
    assert case.reference_document_ids == ("leave.md",)
    assert case.extra == {"rated_answer": "10 weeks [1].", "rated_comment": "old policy"}
    write_dataset(tmp_path / "cases.jsonl", (case,))
    assert check_dataset(tmp_path / "cases.jsonl", gate=True).ok


def test_without_a_correction_the_case_waits_for_one_and_a_gate_refuses_it(tmp_path: Path) -> None:
    found = read_feedback(written(tmp_path, BAD))
    assert found.samples[0].reference == ""
    assert NEEDS_REFERENCE in found.samples[0].tags
    assert found.to_json() == {"ratings": 1, "cases": 1, "needs_reference": 1, "settled": 0}
    write_dataset(tmp_path / "cases.jsonl", found.samples)
    assert not check_dataset(tmp_path / "cases.jsonl", gate=True).ok


def test_a_question_that_should_not_have_been_answered_is_an_unanswerable_case(tmp_path: Path) -> None:
    (case,) = read_feedback(written(tmp_path, {**BAD, "answerable": False})).samples
    assert not case.answerable
    assert NEEDS_REFERENCE not in case.tags


def test_the_last_rating_of_a_principals_question_counts_and_a_correction_given_once_stays(tmp_path: Path) -> None:
    good, corrected = {**BAD, "rating": "up"}, {**BAD, "correction": "20 weeks"}
    assert read_feedback(written(tmp_path, BAD, good)).settled == 1
    assert read_feedback(written(tmp_path, BAD, good)).samples == ()
    again = {**BAD, "question": "how long is leave"}
    (case,) = read_feedback(written(tmp_path, corrected, good, again)).samples
    assert case.reference == "20 weeks"
    assert len(read_feedback(written(tmp_path, BAD, {**BAD, "principal": "bob"})).samples) == 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**BAD, "rating": 6}, '"rating" must be "up" or "down"'),
        ({**BAD, "principal": ""}, '"principal" must be a string'),
        ({"rating": "up", "principal": "a"}, '"question" must be a string'),
        ({**BAD, "correction": 20}, '"correction"'),
        ({**BAD, "correct_document_ids": "leave.md"}, '"correct_document_ids"'),
        ({**BAD, "answerable": "no"}, '"answerable"'),
    ],
)
def test_a_malformed_rating_is_refused_with_its_line(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        read_feedback(written(tmp_path, BAD, row))
    assert caught.value.line == 2


def test_a_stored_ratings_case_is_asked_under_the_raters_name_or_else_as_it_was_when_it_rated(
    open_mill: OpenMill, write_tree: WriteTree
) -> None:
    mill = open_mill()
    mill.ingest(write_tree({"leave.md": "# Leave\n\nLeave is 20 weeks.\n"}), collection="c", allow=["everyone"])
    people = write_tree({"principals.yaml": "al: {tenant: default, subject: 'user:alice', groups: [now]}\n"}, "people")
    mill.directory.import_principals(people / "principals.yaml")
    told = {"question": "How long is leave?", "answer": "10 weeks", "release": mill.release("live", collection="c").id}
    for literal, rating in (
        ("default/user:alice,group:then", 1),
        ("default/user:bob,group:then", "down"),
        ("default/user:carl", "down"),
        ("default/user:carl", 3),
    ):
        mill.feedback(told, collection="c", principal=Principal.parse(literal), rating=rating)
    found = stored_feedback(mill, "c")
    assert [case.principal for case in found.samples] == ["al", "default/user:bob,group:then"]
    assert found.to_json() == {"ratings": 4, "cases": 2, "needs_reference": 2, "settled": 1}
    assert found.samples[0].extra == {"rated_answer": "10 weeks", "rated_release": told["release"]}
    with pytest.raises(CollectionNotFound):
        stored_feedback(mill, "none")


def test_what_the_mill_keeps_can_be_written_to_a_file_and_read_as_one(tmp_path: Path) -> None:
    stored = {**BAD, "rating": 2, "answer": None, "answerable": None, "correct_document_ids": [], "correction": "20"}
    (case,) = read_feedback(written(tmp_path, {**stored, "citations": [], "actor": None})).samples
    assert (case.reference, case.answerable) == ("20", True)
