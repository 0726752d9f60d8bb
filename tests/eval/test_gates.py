"""gates.yaml: what it says, and what a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.gates import Rule, parse_gates, read_gates
from indexes.errors import ConfigError, ConfigFileError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_sample_company_s_gates_are_read() -> None:
    gates = read_gates("data/company/gates.yaml")
    assert (gates.alpha, gates.power, gates.resamples, gates.seed) == (0.05, 0.8, 10_000, 20261121)
    rules = {rule.metric: rule for rule in gates.rules}
    assert rules["ndcg@10"] == Rule("ndcg@10", min=0.7, max_drop=0.02)
    assert (rules["leaks"].max, rules["leaks"].lower, rules["leaks"].amount) == (0, True, False)
    assert (rules["latency_p95_ms"].max_ratio, rules["latency_p95_ms"].amount) == (1.5, True)


def test_which_way_is_better_is_said_or_follows_from_name_and_bounds() -> None:
    rules = parse_gates(
        {
            "metrics": {
                "false_abstention": {"max_drop": 0.02},
                "own_error_rate": {"max_drop": 0.02, "better": "lower"},
                "errors": {"max": 0.1},
                "ndcg@10": {"max_drop": 0.02},
                "tokens": {"max": 3000},
            }
        }
    ).rules
    assert [rule.lower for rule in rules] == [True, True, True, False, True]
    assert [rule.amount for rule in rules] == [False, False, False, False, True]


def test_the_digest_sees_what_is_asked_and_not_how_it_is_written(tmp_path: Path) -> None:
    one = read_gates(write(tmp_path, "metrics:\n  a: {min: 0.5}\n  b: {max: 0}\n"))
    other = read_gates(write(tmp_path, "# the same\nalpha: 0.05\nmetrics:\n  b:\n    max: 0\n  a: {min: .50}\n"))
    assert one.digest == other.digest
    assert one.digest != read_gates(write(tmp_path, "metrics:\n  a: {min: 0.6}\n  b: {max: 0}\n")).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the gates must map to"),
        ("alpha: 0.05\n", "names no metric"),
        ("metrics:\n  a: {min: 0.5\n", "not valid YAML"),
        ("metrics:\n  b: {max: 0}\n  a: {mx_drop: 0.02}\n", "line 3: a has no field mx_drop; did you mean max_drop"),
        ("metrics:\n  a: {}\n", "line 2: a has no bound"),
        ("metrics:\n  a: 0.5\n", "line 2: a must map to bounds"),
        ("metrics:\n  a:\n    min: high\n", "line 3: min of a must be in"),
        ("metrics:\n  a: {min: 1.5}\n", "line 2: min of a must be in"),
        ("metrics:\n  a: {min: .nan}\n", "line 2: min of a must be in"),
        ("metrics:\n  a: {min: true}\n", "line 2: min of a must be in"),
        ("metrics:\n  a: {max_drop: 0}\n", "no number of questions shows"),
        ("metrics:\n  a: {max_drop: -0.1}\n", "max_drop of a must be"),
        ("metrics:\n  a: {max_ratio: 1}\n", "max_ratio of a must be above 1"),
        ("metrics:\n  a: {max_ratio: 2, better: higher}\n", "of amounts less is better"),
        ("metrics:\n  latency_ms: {max_drop: 0.1}\n", "use max_ratio or max"),
        ("metrics:\n  a: {min: 0.9, max: 0.1}\n", "min 0.9 above max 0.1"),
        ("metrics:\n  a: {min: 0.1, max: 0.9, max_drop: 0.1}\n", "say which way is better"),
        ("metrics:\n  a: {min: 0.1, better: up}\n", "must be higher or lower"),
        ("metrics:\n  a: {min: 0.1}\n  a: {min: 0.2}\n", "line 3: a is given twice"),
        ("metrics:\n  a: {min: 0.1, min_coverage: 95}\n", "min_coverage of a must be a share"),
        ("alpha: 5\nmetrics:\n  a: {min: 0.1}\n", "line 1: alpha must be a chance"),
        ("power: 1\nmetrics:\n  a: {min: 0.1}\n", "power must be a chance"),
        ("resamples: 10\nmetrics:\n  a: {min: 0.1}\n", "resamples must be a whole number of 999"),
        ("alpha: 0.001\nmetrics:\n  a: {min: 0.1}\n", "too few"),
        ("seed: x\nmetrics:\n  a: {min: 0.1}\n", "seed must be a whole number"),
        ("metrics:\n  a: {min: !!python/object:os.system 1}\n", "line 2"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_metric(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigFileError, match=message) as caught:
        read_gates(write(tmp_path, text))
    assert "gates.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"none\.yaml: cannot be read"):
        read_gates(tmp_path / "none.yaml")


def test_plain_values_are_checked_alike() -> None:
    with pytest.raises(ConfigError, match="a has no bound"):
        parse_gates({"metrics": {"a": {}}})
