"""What a report is made of, beside the gate's result. Texts may be hostile: whoever writes them out escapes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.gates import Gates

Span = tuple[int, int]
"""Start and end of a piece of a text, in characters."""

Curve = Sequence[tuple[float, float]]
"""Points (coverage, risk), by ascending coverage."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that a release retrieved. `support` are spans of `text` that the answer rests on; `start`, `end` are the document's."""

    document_id: str
    title: str
    text: str
    start: int
    end: int
    cited: bool = False
    support: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """What one release made of a question.

    Args:
        error: why the question failed; empty if it did not.
        passages: by rank.
        citations: as in the JSON of `ask`.
        scores: by metric; a metric that is not about the question is left out, None is a judgement that failed.
        faults: why it failed, by metric.
    """

    answer: str = ""
    abstained: bool = False
    error: str = ""
    passages: tuple[Passage, ...] = ()
    citations: tuple[Mapping[str, Any], ...] = ()
    scores: Mapping[str, float | None] = field(default_factory=dict)
    latency_ms: float = 0.0
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One question and both releases' answers to it."""

    id: str
    question: str
    principal: str
    tags: tuple[str, ...]
    reference: str
    baseline: Side
    candidate: Side


@dataclass(frozen=True, slots=True)
class Context:
    """What was compared, when, by which gates.

    Args:
        candidate, baseline: the releases' descriptions, plain JSON values.
        diff: the fields in which they differ, each with (baseline's value, candidate's value).
        dataset: name@version.
        created: ISO time.
        seconds: by stage, for "where the time goes".
        gates: bounds and directions of the metrics.
        risk_coverage: curves by name, such as "baseline" and "candidate"; no plot where there are none.
    """

    candidate: Mapping[str, Any]
    baseline: Mapping[str, Any]
    diff: Mapping[str, tuple[Any, Any]]
    dataset: str
    created: str
    seconds: Mapping[str, float]
    gates: Gates
    risk_coverage: Mapping[str, Curve] = field(default_factory=dict)
