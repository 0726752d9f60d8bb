"""What the gate's promises are worth: simulated gates of known truth.

    python -m eval.bench.gate_power [--gates 1000] [--questions 30 120 1000]

* A/A: the candidate is the baseline again; how often FAIL over the whole family of metrics (aim: alpha), and PASS.
* A/B: one metric loses the minimum detectable effect that the A/A gates declared; how often FAIL (aim: power).
* at max_drop: one metric loses exactly what is no longer allowed; how often that metric's line says PASS (aim: alpha).
* coverage: how often the 95 % interval holds the true difference, without and with a loss (aim: .93 to .97).

* a noisy judge: releases of equal worth, three judgements an answer, whose variance enters; coverage again.

Four metrics a gate, as evaluations show them: right-or-wrong flips (19 % of the questions), rare ones (5 %), graded scores with
ties, and continuous scores of which some tie. Questions come in documents of one to eight, and half of the noise is shared within a document.
Exits with 1 where an aim is missed by more than two standard errors.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from eval.gate import GateResult, Verdict, compare
from eval.gates import Gates, parse_gates
from eval.report import table
from eval.significance import Codes, Floats, repeat_variance

METRICS = ("flips", "rare", "graded", "continuous")

RANKS = (0.0, 0.387, 0.431, 0.5, 0.631, 1.0, 1.0, 1.0)
"""nDCG@10 of one relevant document at common ranks."""

SHAKY = {"flips": 0.4, "rare": 0.1, "graded": 0.3, "continuous": 0.6}
"""Share of questions on which two runs differ by more than nothing; where they flip, 48 % of these differ."""

MAX_DROP = 0.05

FAILING = 0.02
"""Share of judgements that fail, of either release, in the A/A with failures."""

Rows = dict[str, list[float | None]]


@dataclass(slots=True)
class Tally:
    """Counts of one arm, over gates; `covered` by metric."""

    gates: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    lines: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    mdes: dict[str, list[float]] = field(default_factory=lambda: {metric: [] for metric in METRICS})

    def add(self, result: GateResult, truth: Mapping[str, float]) -> None:
        """Count one gate whose true differences are `truth`, 0 where none is given."""
        self.gates += 1
        self.verdicts[result.verdict] += 1
        for name, line in result.metrics.items():
            self.lines[name, line.verdict] += 1
            low, high = line.interval or (math.nan, math.nan)
            self.covered[name] += low - 1e-9 <= truth.get(name, 0.0) <= high + 1e-9
            self.mdes[name].append(1.0 if line.mde is None else line.mde)

    def share(self, verdict: Verdict) -> float:
        return self.verdicts[verdict] / self.gates


def documents(n: int, random: np.random.Generator) -> Codes:
    """Return the document of each of `n` questions; half of all documents have one question, none more than eight."""
    sizes = np.minimum(random.geometric(0.5, n), 8)
    return np.repeat(np.arange(n), sizes)[:n]


def draw(n: int, random: np.random.Generator) -> tuple[Codes, Rows, Rows]:
    """Return documents and the scores of two runs of one release: what a question is worth, and each run's own noise."""
    cluster = documents(n, random)
    baseline, candidate = _run_pair(cluster, random)
    return cluster, baseline, candidate


def _run_pair(cluster: Codes, random: np.random.Generator) -> tuple[Rows, Rows]:
    n = len(cluster)
    right = random.random(n) < 0.8
    rank = random.choice(RANKS, n)
    quality = random.beta(4, 2, n)
    shaky = {name: random.random(n) < share for name, share in SHAKY.items()}

    def run() -> Rows:
        noise = {name: _uniform(cluster, random) for name in METRICS}
        flips, rare = (np.where(shaky[name], noise[name] < 0.6, right) for name in ("flips", "rare"))
        graded = np.where(shaky["graded"], np.take(RANKS, (noise["graded"] * len(RANKS)).astype(int)), rank)
        moved = np.clip(quality + 0.4 * (noise["continuous"] - 0.5), 0, 1)
        continuous = np.where(shaky["continuous"], moved, quality)
        scores = {
            "flips": flips.astype(np.float64),
            "rare": rare.astype(np.float64),
            "graded": graded,
            "continuous": continuous,
        }
        return {name: values.tolist() for name, values in scores.items()}

    return run(), run()


def _uniform(cluster: Codes, random: np.random.Generator) -> Floats:
    """Uniform noise that a question shares with its document half of the time."""
    own, shared = random.random(len(cluster)), random.random(int(cluster.max()) + 1)[cluster]
    return np.where(random.random(len(cluster)) < 0.5, shared, own)


def means() -> dict[str, float]:
    """Return the true mean score of each metric, from 400,000 questions."""
    _, rows, other = draw(400_000, np.random.default_rng(7))
    return {name: float(np.mean(np.array([rows[name], other[name]], dtype=np.float64))) for name in METRICS}


def lose(
    row: Sequence[float | None], drop: float, mean: float, metric: str, random: np.random.Generator
) -> list[float | None]:
    """Return scores whose true mean is lower by `drop`: questions lost altogether, or all of them a little (`continuous`)."""
    share = drop / mean
    if metric == "continuous":
        return [None if value is None else value * (1 - share) for value in row]
    return [0.0 if lost else value for value, lost in zip(row, random.random(len(row)) < share, strict=True)]


def simulate(
    n: int,
    gates: int,
    *,
    settings: Gates,
    seed: int,
    loss: tuple[str, float] | None = None,
    mean: Mapping[str, float] | None = None,
    failing: float = 0.0,
) -> Tally:
    """Return the tally of `gates` gates of `n` questions.

    Args:
        loss: (metric, true drop) of the candidate; None is A/A. It takes `mean`.
        failing: share of judgements that fail, independently, of either release.
    """
    random = np.random.default_rng([seed, n])
    tally = Tally()
    truth = {loss[0]: -loss[1]} if loss else {}
    for _ in range(gates):
        cluster, baseline, candidate = draw(n, random)
        if loss and mean:
            candidate[loss[0]] = lose(candidate[loss[0]], loss[1], mean[loss[0]], loss[0], random)
        if failing:
            for rows in (baseline, candidate):
                for name, row in rows.items():
                    rows[name] = [None if random.random() < failing else value for value in row]
        tally.add(compare(baseline, candidate, gates=settings, clusters=cluster.tolist()), truth)
    return tally


def simulate_judge(n: int, gates: int, *, seed: int, repeats: int = 3) -> Tally:
    """Return the tally of A/A gates whose answers are alike and whose judge says yes or no by chance, `repeats` times."""
    random = np.random.default_rng([seed, n])
    tally = Tally()
    for _ in range(gates):
        worth = random.beta(2, 1, n)[:, None]
        first, second = (random.random((n, repeats)) < worth for _ in range(2))
        noise = [repeat_variance(one.tolist(), other.tolist()) for one, other in zip(first, second, strict=True)]
        rows = ({"flips": votes.mean(axis=1).tolist()} for votes in (first, second))
        tally.add(compare(*rows, gates=settings(("flips",)), noise={"flips": noise}), {})
    return tally


def settings(metrics: Sequence[str] = METRICS) -> Gates:
    """The gates that are simulated."""
    rules = {metric: {"max_drop": MAX_DROP, "min_coverage": 0.8} for metric in metrics}
    return parse_gates({"alpha": 0.05, "power": 0.8, "resamples": 1999, "metrics": rules})


@dataclass(frozen=True, slots=True)
class Check:
    """One promise measured; `ok` allows two standard errors."""

    questions: int
    what: str
    found: float
    aim: str
    ok: bool


def checks(n: int, gates: int, mean: Mapping[str, float]) -> list[Check]:
    """Return every promise at `n` questions."""
    rules = settings()
    tolerance = 2 * math.sqrt(rules.alpha * (1 - rules.alpha) / gates)
    slack = 2 * math.sqrt(rules.power * (1 - rules.power) / gates)
    found: list[Check] = []

    def add(what: str, value: float, aim: str, ok: bool) -> None:
        found.append(Check(n, what, value, aim, ok))

    alike = simulate(n, gates, settings=rules, seed=1)
    failing = simulate(n, gates, settings=rules, seed=2, failing=FAILING)
    for name, tally in (("A/A", alike), (f"A/A, {FAILING:.0%} of judgements failed", failing)):
        false = tally.share(Verdict.FAIL)
        add(f"{name}: FAIL", false, f"<= {rules.alpha + tolerance:.3f}", false <= rules.alpha + tolerance)
    add("A/A: PASS", alike.share(Verdict.PASS), "", True)
    _cover(add, simulate_judge(n, gates, seed=5), "flips", "a noisy judge", gates)
    for metric in METRICS:
        _cover(add, alike, metric, "A/A", gates)
        effect = median(alike.mdes[metric])
        if effect < mean[metric]:
            lost = simulate(n, gates, settings=rules, seed=3, loss=(metric, effect), mean=mean)
            caught = lost.lines[metric, Verdict.FAIL] / gates
            add(
                f"{metric} loses its mde, {effect:.3f}: FAIL",
                caught,
                f">= {rules.power - slack:.3f}",
                caught >= rules.power - slack,
            )
            _cover(add, lost, metric, "at the mde", gates)
        edge = simulate(n, gates, settings=rules, seed=4, loss=(metric, MAX_DROP), mean=mean)
        passed = edge.lines[metric, Verdict.PASS] / gates
        add(
            f"{metric} loses max_drop, {MAX_DROP}: PASS",
            passed,
            f"<= {rules.alpha + tolerance:.3f}",
            passed <= rules.alpha + tolerance,
        )
    return found


def _cover(add: Any, tally: Tally, metric: str, when: str, gates: int) -> None:
    """Of `rare`, 30 questions have one or two flips: any interval that agrees with the exact test covers more than .97."""
    covered = tally.covered[metric] / tally.gates
    slack = 2 * math.sqrt(0.05 * 0.95 / gates)
    high = 1.0 if metric == "rare" else 0.97
    add(
        f"{metric}, {when}: coverage",
        covered,
        f".93 to {high:g}".replace("0.", "."),
        0.93 - slack <= covered <= high + slack,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 where every promise holds."""
    parser = argparse.ArgumentParser(description="Simulated gates of known truth.")
    parser.add_argument("--gates", type=int, default=1000)
    parser.add_argument("--questions", type=int, nargs="+", default=[30, 120, 1000])
    options = parser.parse_args(arguments)
    mean = means()
    found: list[Check] = []
    for n in options.questions:
        done = checks(n, options.gates, mean)
        rows = [(check.questions, check.what, check.found, check.aim, "yes" if check.ok else "NO") for check in done]
        print(table(("questions", "what", "share", "aim", "holds"), rows), flush=True)
        found += done
    return int(not all(check.ok for check in found))


if __name__ == "__main__":
    sys.exit(main())
