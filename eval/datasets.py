"""The evaluation dataset: JSON Lines with RAGAS's column names, one question a line.

    {"id": "q001", "user_input": "How long is parental leave?", "reference": "It is 20 weeks.",
     "reference_contexts": ["Parental leave is 20 weeks."], "reference_document_ids": ["handbook/leave.md"],
     "reference_facts": [["20 weeks", "twenty weeks"]], "principal": "alice", "answerable": true, "tags": ["numeric"]}

Only `user_input` must be there. The legacy columns `question`, `contexts` and `ground_truth` (or `ground_truths`) are
read as `user_input`, `reference_contexts` and `reference`. Columns not named here are kept in `extra`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eval.jsonl import read_objects
from indexes.errors import DatasetError
from indexes.vocabulary import digest

_LEGACY: Final = {
    "question": "user_input",
    "contexts": "reference_contexts",
    "ground_truth": "reference",
    "ground_truths": "reference",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One question and what a right answer to it holds.

    Args:
        principal: a name from principals.yaml or a literal; empty where the dataset does not say who asks.
        answerable: False where the right answer is to abstain, for this principal.
        reference_contexts: quotes that prove the reference.
        reference_facts: what the answer must state; each fact is a list of alternative wordings.
    """

    id: str
    user_input: str
    reference: str = ""
    reference_contexts: tuple[str, ...] = ()
    reference_document_ids: tuple[str, ...] = ()
    principal: str = ""
    answerable: bool = True
    tags: tuple[str, ...] = ()
    reference_facts: tuple[tuple[str, ...], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> tuple[tuple[str, ...], ...]:
        """`reference_facts`, or the whole reference as the only fact where the dataset names none."""
        return self.reference_facts or (((self.reference,),) if self.reference else ())


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples in file order; equal samples give the same `version`, whatever column names or key order they had."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def version(self) -> str:
        """First 12 hex digits of the sha256 over every sample in order."""
        rows = (json.dumps(to_row(sample), sort_keys=True, ensure_ascii=False) for sample in self.samples)
        return digest(*rows)[:12]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def read_dataset(path: str | Path) -> Dataset:
    """Read an evaluation dataset.

    Raises:
        DatasetError: a line is malformed, a column has the wrong type, an id appears twice; or there is no question.
    """
    samples: dict[str, Sample] = {}
    for line, row in read_objects(path):
        try:
            sample = read_sample(row, default_id=f"line-{line}")
        except ValueError as error:
            raise DatasetError(str(error), path=str(path), line=line) from error
        if sample.id in samples:
            raise DatasetError(f"id {sample.id!r} appears twice", path=str(path), line=line)
        samples[sample.id] = sample
    if not samples:
        raise DatasetError("no questions", path=str(path))
    return Dataset(Path(path).stem, tuple(samples.values()))


def write_dataset(path: str | Path, samples: Iterator[Sample] | tuple[Sample, ...]) -> None:
    """Write samples as JSON Lines with the columns' new names; `read_dataset` gives them back.

    Raises:
        DatasetError: the file cannot be written.
    """
    try:
        Path(path).write_text(
            "".join(json.dumps(to_row(sample), ensure_ascii=False) + "\n" for sample in samples), encoding="utf-8"
        )
    except OSError as error:
        raise DatasetError(f"cannot be written: {error.strerror or error}", path=str(path)) from error


def to_row(sample: Sample) -> dict[str, Any]:
    """Return the JSON object of one sample."""
    return {
        "id": sample.id,
        "user_input": sample.user_input,
        "reference": sample.reference,
        "reference_contexts": list(sample.reference_contexts),
        "reference_document_ids": list(sample.reference_document_ids),
        "principal": sample.principal,
        "answerable": sample.answerable,
        "tags": list(sample.tags),
        "reference_facts": [list(alternatives) for alternatives in sample.reference_facts],
        **sample.extra,
    }


def read_sample(row: Mapping[str, Any], *, default_id: str) -> Sample:
    """Return the sample of one JSON object; ValueError says which column is wrong.

    Args:
        default_id: its id where it names none.
    """
    columns: dict[str, Any] = {}
    for name, value in row.items():
        modern = _LEGACY.get(name, name)
        if modern in columns:
            raise ValueError(f'"{name}" and another column both give {modern}')
        columns[modern] = value
    if isinstance(columns.get("reference"), list):  # ground_truths was a list; its first entry is the reference
        columns["reference"] = next(iter(columns["reference"]), "")
    sample = Sample(
        id=_text(columns, "id", default_id),
        user_input=_text(columns, "user_input", ""),
        reference=_text(columns, "reference", ""),
        reference_contexts=_texts(columns.pop("reference_contexts", None), "reference_contexts"),
        reference_document_ids=_texts(columns.pop("reference_document_ids", None), "reference_document_ids"),
        principal=_text(columns, "principal", ""),
        answerable=_flag(columns.pop("answerable", True)),
        tags=_texts(columns.pop("tags", None), "tags"),
        reference_facts=_facts(columns.pop("reference_facts", None)),
        extra=columns,  # what the calls above have left
    )
    if not sample.user_input.strip() or not sample.id:
        raise ValueError('"user_input" and "id" must not be empty')
    return sample


def _text(columns: dict[str, Any], name: str, default: str) -> str:
    value = columns.pop(name, None)
    if value is None:
        return default
    if name == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f'"{name}" must be a string, got {type(value).__name__}')
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'"{name}" must be a list of strings')
    return tuple(value)


def _facts(value: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list | None):
        raise ValueError('"reference_facts" must be a list of lists of alternatives')
    facts = tuple(_texts(alternatives, "reference_facts") for alternatives in value or ())
    if not all(facts):
        raise ValueError('each of "reference_facts" must be a list with at least one alternative')
    return facts


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError('"answerable" must be true or false')
    return value
