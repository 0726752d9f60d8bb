"""A gate from end to end: both releases asked every question, side by side, scored, compared, and shown.

The releases take turns at each question, so that what else the machine does falls on both alike. What they answer decides nothing about which
questions count: that the dataset does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from eval.abstention import risk_coverage
from eval.clusters import document_clusters
from eval.datasets import Dataset, Sample
from eval.gate import compare
from eval.gate_result import GateResult
from eval.gates import Gates
from eval.judgements import Faults, Judging, judged_rows
from eval.metrics import METRICS, align, all_facts, score_rows
from eval.observe import Observed, Observer
from eval.reports import Context, Passage, Question, Side
from indexes.errors import ConfigError

SHOWN = (
    "ndcg@10", "recall@10", "evidence_recall@10", "answer_containment", "token_f1", "citation_precision", "citation_recall",
    "supported_sentences", "false_abstention",
)  # fmt: skip
"""Scores that the report has beside the gated ones."""

Rows = dict[str, tuple[float | None, ...]]


class Release(Protocol):
    """The part of a release that is used here."""

    @property
    def id(self) -> str: ...

    @property
    def collection(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Gating:
    """A gate that was held: the result, and what its report shows."""

    result: GateResult
    questions: tuple[Question, ...]
    context: Context

    def record(self, report: bytes) -> dict[str, str]:
        """Return the gate record that a promotion asks for; `report` is report.json as written."""
        return {
            "verdict": self.result.verdict.value,
            "candidate": self.result.candidate,
            "baseline": self.result.baseline,
            "dataset": self.result.dataset,
            "created": self.context.created,
            "gates": self.result.gates,
            "report": hashlib.sha256(report).hexdigest()[:16],
        }


@dataclass(slots=True)
class _Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def hold_gate(
    observer: Observer,
    dataset: Dataset,
    *,
    candidate: Release,
    baseline: Release,
    differences: Mapping[str, tuple[Any, Any]],
    gates: Gates,
    judging: Judging | None = None,
    concurrency: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Gating:
    """Ask both releases every question and compare them.

    Args:
        differences: what the releases differ in, (baseline's, candidate's) by field.
        judging: the embedder and the judge that ragas's measures need; None where the gates ask for none of them.
        concurrency: questions under way at once; above 1 times are those of a busy machine, nothing else changes.
        progress: called with (done, total) after each question.
    Raises:
        ConfigError: the releases serve different collections, or a gated metric is unknown or about no question of the dataset.
    """
    require_one_collection(candidate, baseline)
    clock = _Clock()
    wanted = [rule.metric for rule in gates.rules]
    judged = [name for name in wanted if name not in METRICS]
    if judged and judging is None:
        raise ConfigError(f"no metric {judged[0]!r}; there are: {', '.join(METRICS)}")
    with clock.stage("asking"):
        pairs = _ask_both(observer, dataset, baseline.id, candidate.id, concurrency, progress)
    sides = [{sample.id: pair[side] for sample, pair in zip(dataset, pairs, strict=True)} for side in (0, 1)]
    with clock.stage("scoring"):
        names = list(dict.fromkeys([*(name for name in wanted if name in METRICS), *SHOWN]))
        scored = [_rows(dataset, side, names) for side in sides]
    applies = dict(scored[0][1])
    rows = [scored[0][0], scored[1][0]]
    noise: dict[str, tuple[float | None, ...]] = {}
    faults: tuple[Faults, Faults] = ({}, {})
    if judging is not None and judged:
        with clock.stage("judging"):
            found = judged_rows(dataset, sides, judged, judging)
        rows = [ours | theirs for ours, theirs in zip(rows, found.rows, strict=True)]
        applies |= found.applies
        noise, faults = found.noise, found.faults
    if empty := [name for name in wanted if name not in applies]:
        raise ConfigError(
            f"{empty[0]} is gated, but no question of {dataset.name} is about it: add some, or leave the line out"
        )
    with clock.stage("comparing"):
        result = compare(
            rows[0],
            rows[1],
            gates=gates,
            clusters=document_clusters([sample.reference_document_ids for sample in dataset]),
            noise=noise,
            applies=applies,
            candidate_id=candidate.id,
            baseline_id=baseline.id,
            dataset=str(dataset),
        )
    questions = tuple(
        Question(
            sample.id, sample.user_input, sample.principal, sample.tags, sample.reference,
            *(_side(place, sides[side][sample.id], rows[side], applies, faults[side].get(sample.id, {})) for side in (0, 1)),
        )
        for place, sample in enumerate(dataset)
    )  # fmt: skip
    curves = {name: _curve(dataset, side) for name, side in zip(("baseline", "candidate"), sides, strict=True)}
    context = Context(
        candidate.to_json(), baseline.to_json(), differences, str(dataset),
        datetime.now(UTC).isoformat(timespec="seconds"), clock.seconds, gates, curves,
    )  # fmt: skip
    return Gating(result, questions, context)


def require_one_collection(candidate: Release, baseline: Release) -> None:
    """Refuse releases of different collections.

    Raises:
        ConfigError: naming both.
    """
    if candidate.collection != baseline.collection:
        raise ConfigError(
            f"release {candidate.id} serves {candidate.collection!r}, {baseline.id} serves {baseline.collection!r}: "
            "a gate compares releases of one collection"
        )


def _ask_both(
    observer: Observer,
    dataset: Dataset,
    baseline: str,
    candidate: str,
    concurrency: int,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[Observed, Observed]]:
    """Return what (baseline, candidate) made of each question, in the dataset's order; they take turns at going first."""
    done = 0

    def ask(numbered: tuple[int, Sample]) -> tuple[Observed, Observed]:
        nonlocal done
        number, sample = numbered
        releases = (baseline, candidate) if number % 2 else (candidate, baseline)
        one, other = (observer.observe(sample, release) for release in releases)
        done += 1
        if progress:
            progress(done, len(dataset))
        return (one, other) if number % 2 else (other, one)

    with ThreadPoolExecutor(concurrency, thread_name_prefix="gate") as threads:
        return list(threads.map(ask, enumerate(dataset)))


def _rows(
    dataset: Dataset, side: Mapping[str, Observed], names: Sequence[str]
) -> tuple[Rows, dict[str, tuple[bool, ...]]]:
    found = score_rows(dataset, {name: observed.outcome for name, observed in side.items()}, names=names)
    return align(
        dataset, {name: row.ids for name, row in found.items()}, {name: row.values for name, row in found.items()}
    )


def _side(
    place: int, observed: Observed, rows: Rows, applies: Mapping[str, Sequence[bool]], faults: Mapping[str, str]
) -> Side:
    outcome, citations = observed.outcome, tuple(observed.answer.get("citations", ()))
    return Side(
        answer=outcome.answer,
        abstained=outcome.abstained,
        error=outcome.error,
        passages=tuple(_passage(hit, citations) for hit in observed.hits),
        citations=citations,
        scores={name: row[place] for name, row in rows.items() if applies[name][place]},
        latency_ms=outcome.latency_ms,
        faults=faults,
    )


def _passage(hit: Any, citations: Sequence[Mapping[str, Any]]) -> Passage:
    """Mark in a hit what the answer's citations rest on."""
    spans = sorted(
        (max(cited["start"], hit.start) - hit.start, min(cited["end"], hit.end) - hit.start)
        for cited in citations
        if cited["document_id"] == hit.document_id and cited["start"] < hit.end and cited["end"] > hit.start
    )
    return Passage(hit.document_id, hit.title, hit.text, hit.start, hit.end, bool(spans), tuple(dict.fromkeys(spans)))


def _curve(dataset: Dataset, side: Mapping[str, Observed]) -> list[tuple[float, float]]:
    """Return risk by coverage over the questions that have an answer."""
    answered = [(sample, side[sample.id].outcome) for sample in dataset if sample.answerable and sample.facts]
    return risk_coverage((outcome.confidence, all_facts(sample, outcome) == 1) for sample, outcome in answered)
