"""Validation finds every fault of a dataset and its line, also against the collection that it asks about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.dataset_check import check_dataset
from eval.shelf import Shelf
from indexes.errors import ConfigError, DatasetError
from indexes.vocabulary import Principal
from tests.conftest import OpenMill, WriteTree

PEOPLE = {"alice": Principal("halden", "user:alice"), "ingrid": Principal("halden", "user:ingrid", ("group:board",))}
GOOD: dict[str, Any] = {
    "id": "q1", "user_input": "How long is leave?", "reference": "20 weeks", "reference_contexts": ["Leave is 20 weeks."],
    "reference_document_ids": ["leave.md"], "principal": "alice",
}  # fmt: skip


def resolve(name: str) -> Principal:
    if name not in PEOPLE:
        raise ConfigError(f"no principal {name!r}")
    return PEOPLE[name]


@pytest.fixture
def shelf(open_mill: OpenMill, write_tree: WriteTree) -> Shelf:
    folder = write_tree(
        {
            "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: pay.md, allow: [group:board]}\n",
            "leave.md": "# Leave\n\nLeave is **20 weeks**. The canteen in Brno opens at 7:15 on every working day.\n",
            "pay.md": "# Pay\n\nThe base pay of the chief executive is EUR 342,000 from April.\n",
        }
    )
    mill = open_mill()
    mill.ingest(folder, collection="c")
    return Shelf(mill, "c", resolve)


def written(folder: Path, *rows: dict[str, Any] | str) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return file


def faults(file: Path, **options: Any) -> list[tuple[int, str]]:
    return [(one.line, one.problem) for one in check_dataset(file, **options).problems]


def test_every_broken_line_and_every_second_use_of_an_id_is_listed_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD, "{broken", GOOD, "[1]", {"id": "q2"}, {**GOOD, "id": "q3", "tags": "x"})
    assert [line for line, _ in faults(file)] == [2, 3, 4, 5, 6]
    says = [problem for _, problem in faults(file)]
    for part, problem in zip(["not a question", "line 1 too", "got list", "user_input", '"tags"'], says, strict=True):
        assert part in problem
    assert len(check_dataset(file).dataset) == 1


def test_a_gate_needs_a_principal_and_something_to_judge_by(tmp_path: Path) -> None:
    bare = {"id": "bare", "user_input": "What?"}
    none = {"id": "none", "user_input": "What?", "answerable": False, "principal": "alice"}
    file = written(tmp_path, GOOD, bare, none)
    assert faults(file) == []
    assert [(line, problem[:12]) for line, problem in faults(file, gate=True)] == [
        (2, "no principal"),
        (2, "answerable, "),
    ]


def test_documents_principals_and_quotes_are_looked_for_in_the_collection_as_who_asks(
    tmp_path: Path, shelf: Shelf
) -> None:
    file = written(
        tmp_path,
        GOOD,
        {**GOOD, "id": "q2", "reference_document_ids": ["gone.md"], "reference_contexts": []},
        {**GOOD, "id": "q3", "principal": "nobody"},
        {**GOOD, "id": "q4", "reference_contexts": ["Leave is 30 weeks."]},
        {**GOOD, "id": "q5", "reference_document_ids": ["pay.md"], "reference_contexts": []},
        {**GOOD, "id": "q6", "reference_document_ids": ["pay.md"], "answerable": False},
        {**GOOD, "id": "q7", "reference_document_ids": []},
        {**GOOD, "id": "q8", "principal": "ingrid"},
    )
    check = check_dataset(file, shelf=shelf)
    found = {one.line: one.problem for one in check.problems}
    assert sorted(found) == [2, 3, 4, 5, 7]
    assert "unknown document 'gone.md'" in found[2]
    assert "no principal 'nobody'" in found[3]
    assert "quote 1 stands in none of its documents" in found[4]
    assert "alice may not read 'pay.md'" in found[5]
    assert "without reference_document_ids" in found[7]
    assert (check.quotes, check.located) == (4, 2)


def test_without_anyone_who_may_read_it_a_document_is_as_unknown_as_one_that_is_not_there(
    tmp_path: Path, shelf: Shelf
) -> None:
    ask = {**GOOD, "reference_contexts": []}
    forbidden = faults(written(tmp_path, {**ask, "reference_document_ids": ["pay.md"]}), shelf=shelf)
    absent = faults(written(tmp_path, {**ask, "reference_document_ids": ["nil.md"]}), shelf=shelf)
    assert [(line, text.replace("pay.md", "nil.md")) for line, text in forbidden] == absent


def test_require_gives_the_dataset_or_the_first_fault_with_its_line(tmp_path: Path) -> None:
    assert len(check_dataset(written(tmp_path, GOOD)).require()) == 1
    with pytest.raises(DatasetError, match="1 more") as caught:
        check_dataset(written(tmp_path, GOOD, "", "{", "{")).require()
    assert caught.value.line == 3
    with pytest.raises(DatasetError, match="no questions"):
        check_dataset(written(tmp_path, "")).require()


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        check_dataset(tmp_path / "none.jsonl")
