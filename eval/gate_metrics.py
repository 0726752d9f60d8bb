"""One metric through the gate: what is measured, which claims it makes, and, once Holm has weighed the claims, its verdict.

A claim is a hypothesis that FAIL rests on: `max_drop` (the candidate fell), `min`, `max`, `max_ratio` (it is beyond).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from eval.amounts import Ratio, paired_ratio
from eval.gates import Gates, Rule
from eval.pairs import Pairs
from eval.power import detectable_drop, questions_needed, questions_to_see_loss
from eval.significance import Estimate, Floats, estimate, generator, p_short, sign_flip


class Verdict(StrEnum):
    """PASS: shown to be good enough. FAIL: shown to be worse than allowed. INCONCLUSIVE: neither."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


def worst_of(verdicts: Collection[str]) -> Verdict:
    """Return FAIL where there is one, else INCONCLUSIVE where there is one, else PASS."""
    return next((one for one in (Verdict.FAIL, Verdict.INCONCLUSIVE) if one in verdicts), Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's figures before any verdict; `claims` are one-sided p values, unadjusted.

    `worst` and `best` are gains (a drop is negative whichever way is better), scored as in `Pairs`; for amounts `ratio_worst`,
    `ratio_best` take their place. `level` is the candidate's (worst, best) value, which `min` and `max` look at.
    """

    rule: Rule
    pairs: Pairs
    baseline: float | None = None
    level: tuple[float, float] = (0.0, 0.0)
    p: float | None = None
    worst: Estimate | None = None
    best: Estimate | None = None
    ratio_worst: Ratio | None = None
    ratio_best: Ratio | None = None
    claims: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """The outcome of one of a metric's bounds, and how many questions would settle it where it is open."""

    verdict: Verdict
    reason: str
    needed: int | None = None


def measure(rule: Rule, pairs: Pairs, gates: Gates, *, noise: float = 0.0) -> Measured:
    """Return the figures of one metric; nothing but the pairs where it applies to no question or nothing was judged."""
    if not pairs.questions or (rule.amount and not pairs.coverage):
        return Measured(rule, pairs)
    return _amount(rule, pairs, gates) if rule.amount else _score(rule, pairs, gates, noise)


def _score(rule: Rule, pairs: Pairs, gates: Gates, noise: float) -> Measured:
    def judged(baseline: Floats, candidate: Floats) -> tuple[Estimate, float, float]:
        gains = baseline - candidate if rule.lower else candidate - baseline
        random = generator(gates.seed, rule.metric)
        both, fell = sign_flip(gains, cluster=pairs.cluster, resamples=gates.resamples, random=random)
        return estimate(gains, cluster=pairs.cluster, noise=noise), both, fell

    worst, p, fell = judged(*pairs.worst)
    best = worst
    if pairs.best is not pairs.worst:
        best, _, fell = judged(*pairs.best)
    claims = {}
    if rule.max_drop is not None:
        # where the judge is noisier than the scores show, flipping them cannot know it; the t of the wider interval does
        claims["max_drop"] = max(fell, best.p_drop) if best.noise_share >= 1 else fell
    if rule.min is not None and 0 < rule.min < 1:
        claims["min"] = p_short(pairs.best[1], rule.min, cluster=pairs.cluster)
    if rule.max is not None and 0 < rule.max < 1:
        claims["max"] = p_short(1 - pairs.best[1], 1 - rule.max, cluster=pairs.cluster)
    level = float(pairs.worst[1].mean()), float(pairs.best[1].mean())
    return Measured(rule, pairs, float(pairs.worst[0].mean()), level, p, worst, best, claims=claims)


def _amount(rule: Rule, pairs: Pairs, gates: Gates) -> Measured:
    def bootstrapped(baseline: Floats, candidate: Floats) -> Ratio:
        random = generator(gates.seed, rule.metric)
        return paired_ratio(baseline, candidate, metric=rule.metric, resamples=gates.resamples, random=random)

    worst = bootstrapped(*pairs.worst)
    best = worst if pairs.best is pairs.worst else bootstrapped(*pairs.best)
    claims = {}
    if rule.max_ratio is not None:
        claims["max_ratio"] = _p(best.ratios <= rule.max_ratio)
    if rule.max is not None:
        claims["max"] = _p(best.candidates <= rule.max)
    sides = min(_p(worst.ratios <= 1), _p(worst.ratios >= 1))
    level = worst.candidate, best.candidate
    return Measured(
        rule, pairs, worst.baseline, level, min(1.0, 2 * sides), ratio_worst=worst, ratio_best=best, claims=claims
    )


def _p(beyond: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return (int(beyond.sum()) + 1) / (len(beyond) + 1)


def bounds(found: Measured, adjusted: Mapping[str, float], gates: Gates, *, claims: int) -> list[Bound]:
    """Return the outcome of each of the rule's bounds.

    Args:
        adjusted: this metric's claims after Holm.
        claims: how many there are over all metrics.
    """
    rule = found.rule
    outcomes = []
    if rule.max_drop is not None and found.worst is not None and found.best is not None:
        outcomes.append(_drop(rule, rule.max_drop, found.worst, found.best, adjusted["max_drop"], gates, claims))
    if rule.max_ratio is not None and found.ratio_worst is not None:
        outcomes.append(_ratio(rule.max_ratio, found.ratio_worst, adjusted["max_ratio"], gates, found.pairs.questions))
    if rule.min is not None:
        outcomes.append(_floor(found, "min", rule.min, adjusted.get("min"), gates))
    if rule.max is not None:
        outcomes.append(_floor(found, "max", rule.max, adjusted.get("max"), gates))
    return outcomes


def _drop(rule: Rule, allowed: float, worst: Estimate, best: Estimate, p: float, gates: Gates, claims: int) -> Bound:
    low, high = worst.interval(gates.alpha)
    change, word = f"{worst.mean:+.3f} [{low:+.3f}, {high:+.3f}]", "drop"
    if rule.lower:
        change, word = f"{-worst.mean + 0.0:+.3f} [{-high:+.3f}, {-low:+.3f}]", "rise"
    seen = f"{change}, a {word} of {allowed:g} is allowed"
    if p <= gates.alpha and best.mean < 0 and best.lower(gates.alpha) <= -allowed:
        return Bound(Verdict.FAIL, f"{seen}; worse than the baseline, p {p:.2g} after Holm")
    least = questions_to_see_loss(allowed, alpha=gates.alpha)
    at_most = max(0.0, -worst.lower(gates.alpha))
    if at_most < allowed and worst.questions >= least:
        return Bound(Verdict.PASS, f"{seen}; the {word} is at most {at_most:.3f} with {1 - gates.alpha:.0%} confidence")
    needed = questions_needed(
        worst, alpha=gates.alpha, alpha_family=gates.alpha / claims, power=gates.power, max_drop=allowed
    )
    if at_most < allowed:
        why = f"{worst.questions} questions may all miss a fault that ruins {allowed:.1%} of them"
    else:
        why = f"the {word} could be {at_most:.3f} with {1 - gates.alpha:.0%} confidence"
    return Bound(Verdict.INCONCLUSIVE, f"{seen}; {why}; about {needed} questions would settle it", needed)


def _ratio(allowed: float, worst: Ratio, p: float, gates: Gates, n: int) -> Bound:
    high = float(np.quantile(worst.ratios, 1 - gates.alpha, method="inverted_cdf"))
    seen = f"{worst.ratio:.2f} times the baseline, allowed {allowed:g}"
    if p <= gates.alpha:
        return Bound(Verdict.FAIL, f"{seen}; beyond it, p {p:.2g} after Holm")
    if high <= allowed:
        return Bound(Verdict.PASS, f"{seen}; at most {high:.2f} with {1 - gates.alpha:.0%} confidence")
    spread = log_spread(worst.ratios)
    way = math.log(allowed / worst.ratio) if 0 < worst.ratio < math.inf else 0.0
    distance = math.log(allowed) if way > 0 else abs(way)
    needed = _enough(n, spread, distance, gates)
    return Bound(Verdict.INCONCLUSIVE, f"{seen}; could be {high:.2f}" + _settle(needed), needed)


def _floor(found: Measured, name: str, bound: float, p: float | None, gates: Gates) -> Bound:
    """Whether the candidate's value meets `min` or `max`. The value seen decides PASS, a test FAIL.

    At 0 and 1 there is nothing to test: one leak is a leak.
    """
    worst, best = found.level
    sign = 1 if name == "min" else -1
    seen = f"{worst:.3g}, {name} {bound:g}"
    if sign * (worst - bound) >= 0:
        return Bound(Verdict.PASS, seen)
    if sign * (best - bound) < 0 and (p is None or p <= gates.alpha):
        return Bound(Verdict.FAIL, seen + ("" if p is None else f"; beyond it, p {p:.2g} after Holm"))
    if sign * (best - bound) >= 0:
        return Bound(Verdict.INCONCLUSIVE, f"{seen}; {best:.3g} without the failed judgements: judge them again")
    if found.rule.amount:
        return Bound(Verdict.INCONCLUSIVE, f"{seen}; not by more than chance could do")
    spread = math.sqrt(bound * (1 - bound) / found.pairs.questions)
    needed = _enough(found.pairs.questions, spread, abs(worst - bound), gates)
    return Bound(Verdict.INCONCLUSIVE, f"{seen}; not by more than chance could do" + _settle(needed), needed)


def mde(found: Measured, gates: Gates, *, claims: int) -> float | None:
    """Return the least change for the worse that would FAIL with probability `power`, in the metric's unit."""
    rule = found.rule
    if found.worst is not None:
        return detectable_drop(
            found.worst, alpha=gates.alpha, power=gates.power, claims=claims, max_drop=rule.max_drop or 0.0
        )
    if found.ratio_worst is None or rule.max_ratio is None:
        return None
    spread = log_spread(found.ratio_worst.ratios)
    if not math.isfinite(spread):
        return None
    return found.ratio_worst.baseline * (rule.max_ratio * math.exp(_k(gates, claims) * spread) - 1)


def log_spread(ratios: Floats) -> float:
    """Return the standard error of the log ratio; infinite where a ratio was 0 or infinite."""
    if not np.isfinite(ratios).all() or (ratios <= 0).any():
        return math.inf
    return float(np.log(ratios).std())


def _k(gates: Gates, claims: int = 1) -> float:
    return NormalDist().inv_cdf(1 - gates.alpha / claims) + NormalDist().inv_cdf(gates.power)


def _enough(n: int, spread: float, distance: float, gates: Gates) -> int | None:
    """Questions at which `distance` stands clear of chance; None where that is more than a million."""
    if not (distance > 0 and math.isfinite(spread)):
        return None
    needed = math.ceil(n * (_k(gates) * spread / distance) ** 2)
    return max(n + 1, needed) if needed <= 1_000_000 else None


def _settle(needed: int | None) -> str:
    return f"; about {needed} questions would settle it" if needed else "; too close to the bound to be settled"
