"""Is a dataset fit for use: every fault with its line, not only the first, against the collection that it asks about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.datasets import Dataset, Sample, read_sample
from eval.evidence import locate
from eval.jsonl import read_lines
from eval.shelf import Shelf
from indexes.errors import DatasetError, LoremillError
from indexes.vocabulary import Principal


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in which line; `id` is empty where the line could not be read."""

    line: int
    id: str
    problem: str


@dataclass(frozen=True)
class DatasetCheck:
    """A dataset as far as it could be read, and its problems by line."""

    path: str
    dataset: Dataset
    problems: tuple[Problem, ...]
    quotes: int = 0
    located: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def require(self) -> Dataset:
        """Return the dataset.

        Raises:
            DatasetError: something is wrong; the first problem, its line, and how many more there are.
        """
        if self.problems:
            first, more = self.problems[0], len(self.problems) - 1
            tail = f" (and {more} more: see `loremill eval dataset validate`)" if more else ""
            raise DatasetError(first.problem + tail, path=self.path, line=first.line or None)
        return self.dataset

    def to_json(self) -> dict[str, Any]:
        """Return `{"ok", "dataset", "questions", "answerable", "quotes", "located", "problems"}`."""
        return {
            "ok": self.ok,
            "dataset": str(self.dataset),
            "questions": len(self.dataset),
            "answerable": sum(sample.answerable for sample in self.dataset),
            "quotes": self.quotes,
            "located": self.located,
            "problems": [asdict(problem) for problem in self.problems],
        }


def check_dataset(path: str | Path, *, gate: bool = False, shelf: Shelf | None = None) -> DatasetCheck:
    """Read a dataset and look for everything that would make its figures mean something else than they say.

    Args:
        gate: a gate will rest on it: each question needs a principal, each answerable one something to be judged by.
        shelf: also check principals, documents and quotes against a collection. A document is unknown if none of the
            dataset's principals may read it.
    Raises:
        DatasetError: the file cannot be read at all.
    Cost: with a shelf, one text for each principal and document that the dataset names together.
    """
    problems: list[Problem] = []
    samples: dict[str, tuple[int, Sample]] = {}
    for line, text in read_lines(path):
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError(f"expected a JSON object, got {type(row).__name__}")
            sample = read_sample(row, default_id=f"line-{line}")
        except (ValueError, RecursionError) as error:
            problems.append(Problem(line, "", f"not a question: {error}"))
            continue
        if sample.id in samples:
            problems.append(Problem(line, sample.id, f"id {sample.id!r} is that of line {samples[sample.id][0]} too"))
            continue
        samples[sample.id] = (line, sample)
        if gate:
            problems += [Problem(line, sample.id, fault) for fault in _unfit(sample)]
    if not samples and not problems:
        problems.append(Problem(0, "", "no questions"))
    quotes = located = 0
    if shelf is not None:
        against = _Against(shelf, [sample for _, sample in samples.values()])
        for line, sample in samples.values():
            problems += [Problem(line, sample.id, fault) for fault in against.faults(sample)]
        quotes, located = against.quotes, against.located
    problems.sort(key=lambda problem: problem.line)
    dataset = Dataset(Path(path).stem, tuple(sample for _, sample in samples.values()))
    return DatasetCheck(str(path), dataset, tuple(problems), quotes, located)


def _unfit(sample: Sample) -> Iterator[str]:
    if not sample.principal:
        yield 'no principal: set "principal" to a name from principals.yaml or to tenant/user:x,group:y'
    if sample.answerable and not sample.facts:
        yield 'answerable, but with neither "reference" nor "reference_facts" there is nothing to judge an answer by'


class _Against:
    """Checks samples against a collection and counts their quotes."""

    def __init__(self, shelf: Shelf, samples: Sequence[Sample]) -> None:
        self._shelf = shelf
        self._principals: dict[str, Principal] = {}
        self._nobody: dict[str, str] = {}
        self.quotes = self.located = 0
        for name in {sample.principal for sample in samples if sample.principal}:
            try:
                self._principals[name] = shelf.resolve(name)
            except LoremillError as error:
                self._nobody[name] = str(error)

    def faults(self, sample: Sample) -> Iterator[str]:
        if sample.principal in self._nobody:
            yield f"principal {sample.principal!r}: {self._nobody[sample.principal]}"
        unknown = [name for name in sample.reference_document_ids if not self._known(name)]
        yield from (
            f"unknown document {name!r}: no principal of this dataset may read it in collection {self._shelf.collection!r}"
            for name in unknown
        )
        principal = self._principals.get(sample.principal)
        if principal is None or not sample.answerable:
            return
        texts = {name: self._shelf.text(name, principal=principal) for name in sample.reference_document_ids}
        yield from (
            f"answerable, but {sample.principal} may not read {name!r}"
            for name, text in texts.items()
            if text is None and name not in unknown
        )
        yield from self._lost_quotes(sample, [text for text in texts.values() if text is not None])

    def _lost_quotes(self, sample: Sample, texts: Sequence[str]) -> Iterator[str]:
        for number, quote in enumerate(sample.reference_contexts, start=1):
            self.quotes += 1
            if any(locate(quote, text) for text in texts):
                self.located += 1
            elif not sample.reference_document_ids:
                yield f"quote {number} cannot be located without reference_document_ids"
            else:
                yield f"quote {number} stands in none of its documents: {' '.join(quote.split())[:60]!r}"

    def _known(self, document_id: str) -> bool:
        return any(self._shelf.text(document_id, principal=one) is not None for one in self._principals.values())
