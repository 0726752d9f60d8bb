"""The gate: is the candidate good enough to take the baseline's place? PASS, FAIL or INCONCLUSIVE, with reasons.

    PASS           every metric is shown to be good enough: the lower confidence bound of its difference lies above -max_drop
    FAIL           some metric is shown to be worse: a drop that chance does not explain, after Holm over all claims, and that
                   is not shown to be within max_drop; or a fact, such as one leak
    INCONCLUSIVE   neither; `needed` says how many questions would settle it

Pure: scores in, `GateResult` out; equal input gives equal bytes. The method in plain words, and how it was chosen: docs/gate.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from eval.amounts import is_time, row_name
from eval.gate_metrics import Bound, Measured, Verdict, bounds, mde, measure, worst_of
from eval.gate_result import GateResult, MetricResult, needed_of
from eval.gates import Gates, Rule
from eval.pairs import Row, pair
from eval.significance import holm, judge_noise
from indexes.errors import ConfigError

__all__ = ["GateResult", "MetricResult", "Verdict", "compare"]


def compare(
    baseline: Mapping[str, Row],
    candidate: Mapping[str, Row],
    *,
    gates: Gates,
    clusters: Sequence[Hashable] | None = None,
    noise: Mapping[str, Sequence[float | None]] | None = None,
    applies: Mapping[str, Sequence[bool]] | None = None,
    candidate_id: str = "candidate",
    baseline_id: str = "baseline",
    dataset: str = "",
) -> GateResult:
    """Compare two releases over the same questions.

    Args:
        baseline, candidate: of each metric one value a question, in the dataset's order; None is a judgement that failed.
            `latency_p95_ms` is read from rows of that name or of `latency_ms`. Metrics without a gate are left alone.
        clusters: each question's document (`clusters.document_clusters`); None means that no two questions share one.
        noise: of a judged metric each question's variance between repeats (`significance.repeat_variance`).
        applies: of a metric whether it is about the question, such as abstention about those without an answer; default all.
    Raises:
        ConfigError: a gated metric was not measured, rows do not align, or a value is out of range.
    Cost: O(metrics * resamples * questions).
    """
    measured = [
        _measure(rule, baseline, candidate, gates, clusters, (noise or {}).get(rule.metric), applies or {})
        for rule in gates.rules
    ]
    raw = {(found.rule.metric, name): p for found in measured for name, p in found.claims.items()}
    adjusted = _adjusted(raw)
    results = {
        found.rule.metric: _judge(
            found, {name: adjusted[found.rule.metric, name] for name in found.claims}, gates, max(1, len(raw))
        )
        for found in measured
    }
    verdict = worst_of([result.verdict for result in results.values()])
    questions = max(len(row) for row in candidate.values())
    return GateResult(
        verdict=verdict,
        reasons=tuple(f"{name}: {result.reason}" for name, result in results.items() if result.verdict == verdict),
        candidate=candidate_id,
        baseline=baseline_id,
        dataset=dataset,
        metrics=results,
        questions=questions,
        needed=needed_of([(result.needed, result.questions) for result in results.values()], questions),
        gates=gates.digest,
    )


def _adjusted(raw: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Return the claims' p values after Holm over all of them, those of times as if they came last for the others.

    So that how fast the machine was today changes no other metric's figures. It never makes a p smaller than Holm's, hence the promise of
    `alpha` over all claims stands; with one time claimed, others pay at most one claim in their factor.
    """
    steady = holm({claim: 1.0 if is_time(claim[0]) else p for claim, p in raw.items()})
    return {claim: p if is_time(claim[0]) else steady[claim] for claim, p in holm(raw).items()}


def _measure(
    rule: Rule,
    baseline: Mapping[str, Row],
    candidate: Mapping[str, Row],
    gates: Gates,
    clusters: Sequence[Hashable] | None,
    noise: Sequence[float | None] | None,
    applies: Mapping[str, Sequence[bool]],
) -> Measured:
    first, second = _row(baseline, rule.metric, "baseline"), _row(candidate, rule.metric, "candidate")
    pairs = pair(rule, first, second, clusters=clusters, applies=applies.get(rule.metric))
    if noise is not None and len(noise) != len(first):
        raise ConfigError(f"{rule.metric}: {len(first)} questions need as many noise variances, got {len(noise)}")
    variance = judge_noise([noise[place] for place in pairs.kept]) if noise is not None else 0.0
    return measure(rule, pairs, gates, noise=variance)


def _row(rows: Mapping[str, Row], metric: str, release: str) -> Row:
    for name in (metric, row_name(metric)):
        if name in rows:
            return rows[name]
    raise ConfigError(
        f"the gates ask for {metric}, which was not measured of the {release}; measured were {', '.join(sorted(rows)) or 'none'}"
    )


def _judge(found: Measured, adjusted: Mapping[str, float], gates: Gates, claims: int) -> MetricResult:
    outcomes = bounds(found, adjusted, gates, claims=claims) if found.baseline is not None else []
    outcome = _outcome(found, outcomes)
    p_worse = min(adjusted.values()) if adjusted else None
    candidate = found.level[0] if found.baseline is not None else None
    difference, interval, ratio = _difference(found, gates)
    return MetricResult(
        metric=found.rule.metric,
        verdict=outcome.verdict,
        reason=outcome.reason,
        questions=found.pairs.questions,
        baseline=found.baseline,
        candidate=candidate,
        difference=difference,
        interval=interval,
        p=found.p,
        p_worse=p_worse,
        mde=mde(found, gates, claims=claims),
        needed=outcome.needed,
        failed=(found.pairs.baseline_failed, found.pairs.candidate_failed),
        coverage=found.pairs.coverage,
        ratio=ratio,
        noise_share=found.worst.noise_share if found.worst else None,
    )


def _outcome(found: Measured, outcomes: Sequence[Bound]) -> Bound:
    """The worst of the bounds; below the floor of coverage nothing passes and only facts fail."""
    rule, pairs = found.rule, found.pairs
    if not outcomes:
        return Bound(Verdict.INCONCLUSIVE, "was judged on no question")
    verdict = worst_of([outcome.verdict for outcome in outcomes])
    deciding = [outcome for outcome in outcomes if outcome.verdict == verdict]
    reason = "; ".join(outcome.reason for outcome in deciding)
    failed = pairs.baseline_failed + pairs.candidate_failed
    judged = f"{pairs.baseline_failed} judgements of the baseline and {pairs.candidate_failed} of the candidate failed"
    fact = verdict == Verdict.FAIL and rule.max == 0
    if pairs.coverage < rule.min_coverage and not fact:
        floor = f"{judged} of {pairs.questions} each: coverage {pairs.coverage:.3f} is below the floor of {rule.min_coverage:g}"
        return Bound(Verdict.INCONCLUSIVE, floor)
    needed = [outcome.needed for outcome in deciding]
    most = None if None in needed else max(number for number in needed if number is not None)
    return Bound(verdict, f"{reason} ({judged})" if failed else reason, most)


def _difference(found: Measured, gates: Gates) -> tuple[float | None, tuple[float, float] | None, float | None]:
    """Candidate - baseline with its interval, and the ratio of amounts."""
    if found.worst is not None:
        low, high = found.worst.interval(gates.alpha)
        return (-found.worst.mean, (-high, -low), None) if found.rule.lower else (found.worst.mean, (low, high), None)
    ratio = found.ratio_worst
    if ratio is None:
        return None, None, None
    low, high = np.quantile(ratio.candidates - ratio.baselines, (gates.alpha / 2, 1 - gates.alpha / 2))
    return ratio.candidate - ratio.baseline, (float(low), float(high)), ratio.ratio
