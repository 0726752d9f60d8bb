"""The evaluation dataset: columns, legacy names, faults with their line, and a version that follows the content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.datasets import Sample, read_dataset, to_row, write_dataset
from indexes.errors import DatasetError

COMPANY = Path(__file__).parents[2] / "data/company/questions.jsonl"
texts = st.text(min_size=1, max_size=20)
samples = st.builds(
    Sample,
    id=texts,
    user_input=texts.filter(lambda text: bool(text.strip())),
    reference=st.text(max_size=20),
    reference_contexts=st.lists(texts, max_size=3).map(tuple),
    answerable=st.booleans(),
    tags=st.lists(texts, max_size=3).map(tuple),
    reference_facts=st.lists(st.lists(texts, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    extra=st.dictionaries(st.sampled_from(["difficulty", "note"]), st.integers() | st.text(max_size=5)),
)


def written(folder: Path, *rows: dict[str, Any] | str) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return file


def test_every_column_is_read_and_unknown_ones_are_kept(tmp_path: Path) -> None:
    row = {
        "id": "q1",
        "user_input": "How long?",
        "reference": "20 weeks",
        "reference_contexts": ["It is 20 weeks."],
        "reference_document_ids": ["leave.md"],
        "principal": "alice",
        "answerable": True,
        "tags": ["numeric"],
        "reference_facts": [["20 weeks", "twenty weeks"]],
        "difficulty": 3,
    }
    (sample,) = read_dataset(written(tmp_path, row))
    assert to_row(sample) == row
    assert sample.extra == {"difficulty": 3}
    assert sample.facts == (("20 weeks", "twenty weeks"),)


def test_legacy_columns_mean_the_same_as_the_new_ones(tmp_path: Path) -> None:
    new = read_dataset(written(tmp_path, {"id": 1, "user_input": "Q", "reference_contexts": ["c"], "reference": "g"}))
    old = read_dataset(written(tmp_path, {"id": "1", "question": "Q", "contexts": ["c"], "ground_truth": "g"}))
    older = read_dataset(
        written(tmp_path, {"ground_truths": ["g", "h"], "question": "Q", "contexts": ["c"], "id": "1"})
    )
    assert old == new == older
    assert old.version == new.version


def test_only_the_question_is_needed_and_an_id_is_made_from_the_line(tmp_path: Path) -> None:
    (sample,) = read_dataset(written(tmp_path, "", {"user_input": "Q"}))
    assert (sample.id, sample.answerable, sample.facts) == ("line-2", True, ())


def test_without_facts_the_whole_reference_is_the_fact() -> None:
    assert Sample("q", "Q", reference="20 weeks").facts == (("20 weeks",),)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "q1", "user_input": "again"}, "'q1' appears twice"),
        ({"id": "q2", "user_input": "  "}, "must not be empty"),
        ({"id": "q2"}, "must not be empty"),
        ({"id": "q2", "user_input": 3}, '"user_input" must be a string'),
        ({"id": "q2", "user_input": "Q", "tags": "numeric"}, '"tags" must be a list'),
        ({"id": "q2", "user_input": "Q", "answerable": "no"}, '"answerable" must be true or false'),
        ({"id": "q2", "user_input": "Q", "answerable": None}, '"answerable" must be true or false'),
        ({"id": "q2", "user_input": "Q", "reference_facts": ["20 weeks"]}, "must be a list"),
        ({"id": "q2", "user_input": "Q", "reference_facts": [[]]}, "at least one alternative"),
        ({"id": "q2", "user_input": "Q", "question": "Q"}, "both give user_input"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, row: dict[str, Any] | str, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        read_dataset(written(tmp_path, {"id": "q1", "user_input": "Q"}, "", row))
    assert caught.value.line == 3


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no questions"):
        read_dataset(written(tmp_path, ""))


@given(st.lists(samples, min_size=1, max_size=5, unique_by=lambda sample: sample.id))
def test_what_is_written_is_read_back_with_the_same_version(rows: list[Sample]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "d.jsonl"
        write_dataset(file, tuple(rows))
        back = read_dataset(file)
        assert back.samples == tuple(rows)
        write_dataset(file, back.samples)
        assert read_dataset(file).version == back.version


def test_any_change_of_content_or_order_changes_the_version(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "a", "user_input": "Q"}, {"id": "b", "user_input": "R"}]
    versions = {
        read_dataset(written(tmp_path, *variant)).version
        for variant in (rows, rows[::-1], rows[:1], [rows[0], {**rows[1], "answerable": False}])
    }
    assert len(versions) == 4


@pytest.mark.skipif(not COMPANY.is_file(), reason="the sample company has no questions here")
def test_the_sample_companys_questions_are_read() -> None:
    dataset = read_dataset(COMPANY)
    assert len(dataset) >= 120
    assert all(sample.principal for sample in dataset)
    assert all(sample.reference_facts for sample in dataset if sample.answerable)
    assert {"unanswerable", "forbidden", "injection"} <= {tag for sample in dataset for tag in sample.tags}
