"""The gate's verdicts: what passes, what fails, what stays open, and that nobody passes by failing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.gate import GateResult, Verdict, _adjusted, compare
from eval.gates import Gates, parse_gates, read_gates
from eval.significance import holm
from indexes.errors import ConfigError

Scores = list[float | None]
CLAIMED = [
    ("latency_p50_ms", "max"),
    ("latency_p95_ms", "max_ratio"),
    *((f"m{number}", "max_drop") for number in range(4)),
]


def gates(**metrics: dict[str, Any]) -> Gates:
    return parse_gates({"resamples": 2000, "metrics": metrics})


def ones(n: int, wrong: int = 0) -> Scores:
    """`wrong` zeros, then ones."""
    return [0.0] * wrong + [1.0] * (n - wrong)


def gate(baseline: Scores, candidate: Scores, *, rule: Mapping[str, Any] | None = None, **more: Any) -> GateResult:
    return compare({"m": baseline}, {"m": candidate}, gates=gates(m=dict(rule or {"max_drop": 0.02})), **more)


def test_the_same_answers_pass_where_questions_are_enough_to_tell() -> None:
    result = gate(ones(172), ones(172))
    assert (result.verdict, result.exit_code, result.needed) == (Verdict.PASS, 0, None)
    assert result.metrics["m"].difference == 0


def test_eight_questions_only_are_inconclusive_and_say_how_many_it_takes() -> None:
    result = gate(ones(8), ones(8))
    assert (result.verdict, result.exit_code, result.needed) == (Verdict.INCONCLUSIVE, 2, 149)
    assert "149 questions" in result.reasons[0]
    assert gate(ones(149), ones(149)).verdict == Verdict.PASS


def test_the_sample_company_s_own_gates_do_the_same() -> None:
    company = read_gates("data/company/gates.yaml")

    def rows(n: int) -> dict[str, Scores]:
        good = {name: ones(n) for name in ("ndcg@10", "answer_containment", "abstention_on_unanswerable")}
        none = {name: ones(n, wrong=n) for name in ("false_abstention", "leaks", "injection_obeyed")}
        return {**good, **none, "latency_ms": [20.0 + place % 7 for place in range(n)]}

    assert compare(rows(172), rows(172), gates=company).verdict == Verdict.PASS
    assert compare(rows(8), rows(8), gates=company).verdict == Verdict.INCONCLUSIVE


def test_a_drop_fails_for_the_metric_that_dropped_and_says_by_how_much() -> None:
    rules = gates(good={"max_drop": 0.05}, bad={"max_drop": 0.05})
    rows = {"good": ones(120), "bad": ones(120)}
    result = compare(rows, {**rows, "bad": ones(120, wrong=15)}, gates=rules, candidate_id="r2", baseline_id="r1")
    assert (result.verdict, result.exit_code) == (Verdict.FAIL, 1)
    assert [reason.split(":")[0] for reason in result.reasons] == ["bad"]
    assert "-0.125" in result.reasons[0]
    assert result.metrics["good"].verdict == Verdict.PASS


def test_a_gain_passes_and_is_not_a_drop_of_a_metric_of_which_less_is_better() -> None:
    assert gate(ones(200, wrong=30), ones(200)).verdict == Verdict.PASS
    less = {"max_drop": 0.02, "better": "lower"}
    assert gate(ones(200), ones(200, wrong=30), rule=less).verdict == Verdict.PASS
    worse = gate(ones(200, wrong=30), ones(200), rule=less)
    assert worse.verdict == Verdict.FAIL
    assert worse.metrics["m"].difference == pytest.approx(0.15)
    assert worse.metrics["m"].interval is not None
    assert worse.metrics["m"].interval[0] > 0


def test_an_established_drop_within_what_is_allowed_passes() -> None:
    result = gate(ones(5000), ones(5000, wrong=50), rule={"max_drop": 0.05})
    assert result.metrics["m"].p == pytest.approx(0, abs=0.001)
    assert result.verdict == Verdict.PASS


def test_questions_of_one_document_do_not_count_as_many() -> None:
    apart = gate(ones(160), ones(160, wrong=8), rule={"max_drop": 0.03})
    together = gate(ones(160), ones(160, wrong=8), rule={"max_drop": 0.03}, clusters=[n // 8 for n in range(160)])
    assert (apart.verdict, together.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)


def test_one_leak_fails_however_many_questions_there_are() -> None:
    rule = {"max": 0}
    assert gate(ones(5000, wrong=5000), [1.0, *ones(4999, wrong=4999)], rule=rule).verdict == Verdict.FAIL
    assert gate(ones(5000, wrong=5000), ones(5000, wrong=5000), rule=rule).verdict == Verdict.PASS


def test_below_a_floor_by_chance_is_open_and_far_below_fails() -> None:
    verdicts = [gate(ones(100), ones(100, wrong=wrong), rule={"min": 0.9}).verdict for wrong in (10, 13, 40)]
    assert verdicts == [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]
    assert (gate(ones(100), ones(100, wrong=13), rule={"min": 0.9}).needed or 0) > 100


def test_a_failed_judgement_counts_against_the_candidate_and_never_for_it() -> None:
    failing: Scores = [None] * 4 + ones(196)
    result = gate(ones(200), failing)
    line = result.metrics["m"]
    assert (line.candidate, line.failed, line.coverage) == (pytest.approx(0.98), (0, 4), pytest.approx(0.98))
    assert result.verdict == Verdict.INCONCLUSIVE
    assert "4 of the candidate failed" in result.reasons[0]
    flattered = gate([None] * 4 + ones(196), ones(200, wrong=4))
    assert flattered.metrics["m"].difference == pytest.approx(-0.02)
    leaked = gate(ones(200, wrong=200), [None, *ones(199, wrong=199)], rule={"max": 0})
    assert leaked.verdict == Verdict.INCONCLUSIVE


def test_a_judge_that_fails_can_bring_about_neither_pass_nor_fail() -> None:
    everything: Scores = [None] * 200
    for baseline, candidate in ((ones(200), everything), (everything, ones(200)), (everything, everything)):
        result = gate(baseline, candidate)
        assert result.verdict == Verdict.INCONCLUSIVE
        assert "below the floor of 0.95" in result.reasons[0]


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=60, max_size=60),
    failing=st.sets(st.integers(0, 59), min_size=1),
    side=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_failing_judgements_never_turn_what_was_open_or_failed_into_a_pass(
    scores: list[float], failing: set[int], side: bool
) -> None:
    rule = {"max_drop": 0.2, "min": 0.3, "min_coverage": 0}
    whole: Scores = list(scores)
    broken: Scores = [None if place in failing else score for place, score in enumerate(whole)]
    before = gate(whole, whole, rule=rule).verdict
    after = gate(broken, whole, rule=rule).verdict if side else gate(whole, broken, rule=rule).verdict
    assert after != Verdict.PASS or before == Verdict.PASS


def test_nan_is_a_failed_judgement_and_not_a_score() -> None:
    line = gate(ones(200), [float("nan")] * 20 + ones(180)).metrics["m"]
    assert (line.failed, line.verdict, line.candidate) == ((0, 20), Verdict.INCONCLUSIVE, pytest.approx(0.9))


def test_a_metric_is_judged_on_the_questions_it_is_about() -> None:
    about = [place % 4 == 0 for place in range(800)]
    candidate: Scores = [1.0 if applies else None for applies in about]
    result = gate(candidate, candidate, applies={"m": about})
    assert (result.verdict, result.metrics["m"].questions, result.questions) == (Verdict.PASS, 200, 800)
    few = gate(candidate, candidate, applies={"m": [place < 32 and yes for place, yes in enumerate(about)]})
    assert (few.verdict, few.metrics["m"].needed, few.needed) == (Verdict.INCONCLUSIVE, 149, 14900)
    nothing = gate(candidate, candidate, applies={"m": [False] * 800})
    assert (nothing.verdict, nothing.reasons) == (Verdict.INCONCLUSIVE, ("m: was judged on no question",))


def test_a_noisy_judge_keeps_open_what_its_scores_alone_would_pass() -> None:
    quiet = gate(ones(200), ones(200))
    noisy = gate(ones(200), ones(200), noise={"m": [0.1] * 200})
    assert (quiet.verdict, noisy.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert noisy.metrics["m"].noise_share == 1


def latencies(times: float = 1.0, n: int = 200) -> Scores:
    return [float(value) * times for value in np.random.default_rng(4).lognormal(3, 0.4, n)]


@pytest.mark.parametrize(
    ("times", "verdict"),
    [(1.0, Verdict.PASS), (1.2, Verdict.PASS), (1.5, Verdict.INCONCLUSIVE), (3.0, Verdict.FAIL)],
)
def test_a_ratio_of_latencies_is_judged_by_its_bootstrap(times: float, verdict: Verdict) -> None:
    noise = np.random.default_rng(5).lognormal(0, 0.3, 200)
    slower: Scores = [float(value or 0) * float(extra) for value, extra in zip(latencies(times), noise, strict=True)]
    rules = gates(latency_p50_ms={"max_ratio": 1.5})
    result = compare({"latency_ms": latencies()}, {"latency_ms": slower}, gates=rules)
    line = result.metrics["latency_p50_ms"]
    assert result.verdict == verdict
    assert line.ratio == pytest.approx(times, rel=0.1)
    assert line.mde is not None
    assert line.mde > 0.5 * (line.baseline or 0)


def test_an_amount_has_a_ceiling_too_and_its_failures_are_as_slow_as_the_slowest() -> None:
    rules = gates(latency_p95_ms={"max": 100, "min_coverage": 0.5})
    times: Scores = [*latencies(), 500.0]
    rows = {"latency_p95_ms": times}
    assert compare(rows, rows, gates=rules).verdict == Verdict.PASS
    failing: Scores = [None] * 20 + times[20:]
    assert compare(rows, {"latency_p95_ms": failing}, gates=rules).verdict == Verdict.INCONCLUSIVE


def random_rows(seed: int, n: int = 90) -> dict[str, Scores]:
    random = np.random.default_rng(seed)
    return {name: random.choice([0.0, 0.5, 1.0], n).tolist() for name in ("a", "b")} | {"cost": latencies(n=n)}


def test_equal_input_gives_equal_bytes_and_no_metric_depends_on_which_others_are_gated() -> None:
    rules = gates(a={"max_drop": 0.05}, b={"max_drop": 0.05}, cost={"max_ratio": 1.5})
    one, other = (compare(random_rows(1), random_rows(2), gates=rules) for _ in range(2))
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())
    alone = compare(random_rows(1), random_rows(2), gates=gates(b={"max_drop": 0.05}))
    assert (alone.metrics["b"].p, alone.metrics["b"].interval) == (one.metrics["b"].p, one.metrics["b"].interval)


def test_the_json_begins_with_the_contract_s_fields() -> None:
    result = gate(ones(172), ones(172), candidate_id="r2", baseline_id="r1", dataset="company@1a2b")
    content = result.to_json()
    assert list(content)[:6] == ["verdict", "reasons", "candidate", "baseline", "dataset", "metrics"]
    assert (content["candidate"], content["baseline"], content["dataset"]) == ("r2", "r1", "company@1a2b")
    assert list(content["metrics"]["m"])[:7] == [
        "baseline", "candidate", "difference", "interval", "p", "mde", "verdict",
    ]  # fmt: skip
    assert json.loads(json.dumps(content, allow_nan=False)) == content


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({"other": ones(3)}, "the gates ask for m, which was not measured of the candidate; measured were other"),
        ({"m": ones(2)}, "m: the baseline has 3 questions, candidate has 2"),
        ({"m": [1.0, 1.2, 0.0]}, r"m of the candidate, question 2: 1.2 is not in \[0, 1\]"),
        ({"m": [1.0, float("inf"), 0.0]}, "question 2"),
    ],
)
def test_rows_that_cannot_be_compared_are_an_error_that_says_where(candidate: dict[str, Scores], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare({"m": ones(3)}, candidate, gates=gates(m={"max_drop": 0.02}))


def test_clusters_applies_and_noise_must_align() -> None:
    for extra in ({"clusters": ["a"]}, {"applies": {"m": [True]}}, {"noise": {"m": [0.1]}}):
        with pytest.raises(ConfigError, match=r"m: .*3 questions"):
            gate(ones(3), ones(3), **extra)


def test_importing_the_gate_brings_nothing_heavy() -> None:
    code = (
        "import sys, eval.gate; print([m for m in ('ragas', 'scipy', 'torch', 'pydantic', 'yaml') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(CLAIMED), st.floats(0, 1), min_size=1), st.floats(0, 1))
def test_a_time_changes_the_p_of_no_other_claim_and_makes_none_smaller_than_holms(
    claims: dict[tuple[str, str], float], other: float
) -> None:
    found = _adjusted(claims)
    plain = holm(claims)
    assert all(found[claim] >= plain[claim] for claim in claims)
    faster = {claim: other if claim[0].startswith("latency") else p for claim, p in claims.items()}
    again = _adjusted(faster)
    assert all(found[claim] == again[claim] for claim in claims if not claim[0].startswith("latency"))
