"""The measures of ragas as rows for the gate: those that need no model, and those of a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.datasets import Dataset
from eval.metrics import align
from eval.observe import Observed
from eval.significance import repeat_variance
from indexes.embedder import Embedder
from indexes.errors import ConfigError

if TYPE_CHECKING:
    from eval.judge import JudgeOptions
    from eval.judge_cache import JudgeCache
    from eval.judgement import JudgeReport

Rows = dict[str, tuple[float | None, ...]]
Faults = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Judging:
    """What ragas's measures need.

    Args:
        options: the judge's; None where no judged measure is gated.
        repeats: how often each judgement is made; from 2 on the judge's noise is measured.
    """

    embedder: Embedder
    options: JudgeOptions | None
    cache: JudgeCache | None = None
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """By metric: a row of each side over all questions, which questions it is about, and the judge's variance at each.

    `faults`: of each side why a judgement failed, by question and metric.
    """

    rows: tuple[Rows, Rows]
    applies: dict[str, tuple[bool, ...]]
    noise: dict[str, tuple[float | None, ...]]
    faults: tuple[Faults, Faults] = ({}, {})


def judged_rows(
    dataset: Dataset, sides: Sequence[Mapping[str, Observed]], names: Sequence[str], judging: Judging
) -> JudgedRows:
    """Score both sides, (baseline, candidate), by measures of ragas.

    Raises:
        ConfigError: a measure is unknown, or the judge is not set up.
        DependencyMissing: ragas is not installed.
    """
    from eval.ragas_judge import JUDGED
    from eval.ragas_offline import OFFLINE

    if unknown := [name for name in names if name not in OFFLINE and name not in JUDGED]:
        raise ConfigError(f"no metric {unknown[0]!r}: neither ours nor among ragas's {', '.join([*OFFLINE, *JUDGED])}")
    offline = [name for name in names if name in OFFLINE]
    judged = [name for name in names if name in JUDGED]
    found: list[tuple[Rows, dict[str, tuple[bool, ...]]]] = [({}, {}), ({}, {})]
    noise: dict[str, tuple[float | None, ...]] = {}
    faults: tuple[Faults, Faults] = ({}, {})
    if offline:
        found = [
            _merged(one, _offline(dataset, side, offline, judging)) for one, side in zip(found, sides, strict=True)
        ]
    if judged:
        reports = [_judge(dataset, side, judged, judging) for side in sides]
        found = [
            _merged(one, align(dataset, report.ids, report.scores()))
            for one, report in zip(found, reports, strict=True)
        ]
        noise = {name: _noise(dataset, name, reports) for name in judged} if judging.repeats > 1 else {}
        faults = _faults(reports[0]), _faults(reports[1])
    return JudgedRows((found[0][0], found[1][0]), found[0][1] | found[1][1], noise, faults)


def _faults(report: JudgeReport) -> Faults:
    """Return the first reason of each judgement that failed, by question and metric."""
    found: Faults = {}
    for name, row in report.judgements.items():
        for question, judgement in zip(report.ids[name], row, strict=True):
            if judgement.faults:
                found.setdefault(question, {})[name] = judgement.faults[0]
    return found


def _merged(
    one: tuple[Rows, dict[str, tuple[bool, ...]]], other: tuple[Rows, dict[str, tuple[bool, ...]]]
) -> tuple[Rows, dict[str, tuple[bool, ...]]]:
    return one[0] | other[0], one[1] | other[1]


def _offline(
    dataset: Dataset, side: Mapping[str, Observed], names: Sequence[str], judging: Judging
) -> tuple[Rows, dict[str, tuple[bool, ...]]]:
    from eval.ragas_offline import OfflineRow, score_offline

    rows = [
        OfflineRow(
            sample.id,
            response=side[sample.id].outcome.told,
            reference=sample.reference,
            retrieved_contexts=tuple(hit.text for hit in side[sample.id].hits),
            reference_contexts=sample.reference_contexts,
            retrieved_context_ids=tuple(dict.fromkeys(hit.document_id for hit in side[sample.id].hits)),
            reference_context_ids=sample.reference_document_ids,
        )
        for sample in dataset
        if sample.answerable
    ]
    scores = score_offline(rows, measures=names, embedder=judging.embedder)
    return align(
        dataset,
        {name: list(values) for name, values in scores.items()},
        {name: list(values.values()) for name, values in scores.items()},
    )


def _judge(dataset: Dataset, side: Mapping[str, Observed], names: Sequence[str], judging: Judging) -> JudgeReport:
    from eval.ragas_run import JudgedRow, judge_rows

    assert judging.options is not None
    rows = [
        JudgedRow(
            sample.id,
            sample.user_input,
            side[sample.id].outcome.told,
            tuple(hit.text for hit in side[sample.id].hits),
            sample.reference,
        )
        for sample in dataset
        if sample.answerable
    ]
    return judge_rows(
        rows,
        measures=names,
        options=judging.options,
        embedder=judging.embedder,
        cache=judging.cache,
        repeats=judging.repeats,
    )


def _noise(dataset: Dataset, name: str, reports: Sequence[JudgeReport]) -> tuple[float | None, ...]:
    """Return the variance of the difference at each question, None where it was not judged twice on both sides."""
    repeats = [dict(zip(report.ids[name], report.judgements[name], strict=True)) for report in reports]

    def variance(question: str) -> float | None:
        if not all(question in side for side in repeats):
            return None
        one, other = ([value for value in side[question].values if value is not None] for side in repeats)
        return repeat_variance(one, other)

    return tuple(variance(sample.id) for sample in dataset)
