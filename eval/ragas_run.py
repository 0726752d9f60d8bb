"""Judge many rows: all measures, all repeats, under the judge's limit; the result does not depend on what came back first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eval.judge import Judge, JudgeOptions
from eval.judge_cache import JudgeCache
from eval.judgement import Judgement, JudgementFailed, JudgeReport
from eval.ragas_judge import JUDGED, collections, score_row
from indexes.embedder import Embedder
from indexes.errors import ConfigError

_FROM_DATASET = ("user_input", "reference")


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One question with what the system made of it, under ragas's names.

    Args:
        response: the answer's text; empty where the system abstained or failed.
        retrieved_contexts: the texts of the passages, best first.
    """

    id: str
    user_input: str
    response: str
    retrieved_contexts: tuple[str, ...]
    reference: str = ""


def judge_rows(
    rows: Sequence[JudgedRow],
    *,
    measures: Sequence[str],
    options: JudgeOptions,
    embedder: Embedder | None = None,
    cache: JudgeCache | None = None,
    repeats: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> JudgeReport:
    """Return what the judge says of every row by every measure.

    A measure applies to the rows whose columns from the dataset (`user_input`, `reference`) it needs are filled; what the system answered decides
    nothing about that.

    Args:
        measures: keys of `JUDGED`.
        embedder: for `answer_relevancy`.
        repeats: how often each judgement is made, at least 1; more of them measure the judge's noise.
        progress: called with (done, total) after each judgement.
    Raises:
        ConfigError: a measure is unknown, `repeats` is below 1, or a measure applies to no row.
        ProviderError: the judge refuses for a reason that holds for all.
        DependencyMissing: ragas is not installed.
    Cost: 1 to 2 + 2 * passages requests a judgement, by measure.
    """
    if unknown := [name for name in measures if name not in JUDGED]:
        raise ConfigError(f"no judged measure {unknown[0]!r}; there are: {', '.join(JUDGED)}")
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1, got {repeats}")
    applicable = {name: [row for row in rows if _applies(name, row)] for name in measures}
    if empty := [name for name, found in applicable.items() if not found]:
        raise ConfigError(f"{empty[0]} applies to no question: it needs {', '.join(JUDGED[empty[0]].needs)}")
    collections()
    judge = Judge(options, cache=cache)
    work = [(name, row, repeat) for name, found in applicable.items() for row in found for repeat in range(repeats)]
    outcomes = asyncio.run(_all(work, judge, embedder, progress))
    return JudgeReport(
        options.model,
        {name: tuple(row.id for row in found) for name, found in applicable.items()},
        _grouped(applicable, outcomes, repeats),
        {name: JUDGED[name].direction for name in measures},
        judge.requests,
        judge.cached,
    )


def _applies(name: str, row: JudgedRow) -> bool:
    return all(getattr(row, column).strip() for column in JUDGED[name].needs if column in _FROM_DATASET)


async def _all(
    work: Sequence[tuple[str, JudgedRow, int]],
    judge: Judge,
    embedder: Embedder | None,
    progress: Callable[[int, int], None] | None,
) -> list[float | str]:
    """Return a value or a reason for each piece of work, in its order."""
    outcomes: list[float | str] = [""] * len(work)
    done = 0

    async def one(place: int) -> None:
        nonlocal done
        name, row, repeat = work[place]
        try:
            outcomes[place] = await score_row(name, _columns(row), judge=judge, embedder=embedder, draw=str(repeat))
        except JudgementFailed as fault:
            outcomes[place] = str(fault) or "failed without a reason"
        done += 1
        if progress:
            progress(done, len(work))

    async with judge:
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(len(work)):
                    group.create_task(one(place))
        except ExceptionGroup as faults:  # what holds for all questions holds for the first that met it
            raise faults.exceptions[0] from None
    return outcomes


def _columns(row: JudgedRow) -> dict[str, Any]:
    return asdict(row) | {"retrieved_contexts": list(row.retrieved_contexts)}


def _grouped(
    applicable: dict[str, list[JudgedRow]], outcomes: Sequence[float | str], repeats: int
) -> dict[str, tuple[Judgement, ...]]:
    remaining = iter(outcomes)
    return {
        name: tuple(_judgement([next(remaining) for _ in range(repeats)]) for _ in found)
        for name, found in applicable.items()
    }


def _judgement(outcomes: Sequence[float | str]) -> Judgement:
    return Judgement(
        tuple(None if isinstance(outcome, str) else outcome for outcome in outcomes),
        tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
    )
