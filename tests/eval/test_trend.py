"""Past gates by time: what is read, in which order, and that a broken file is named and hides no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.reports import write_reports
from eval.reports.trend_page import trend_html
from eval.trend import read_trend
from indexes.errors import ConfigError
from tests.eval.report_samples import HOSTILE, gate


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """Three gates, written in another order than they were made in, in folders of any depth."""
    for name, created, lost in (
        ("b/deep/er", "2026-11-20T10:00:00+00:00", 0),
        ("a", "2026-11-22T10:00:00+00:00", 12),
        ("c", "2026-11-21T10:00:00Z", 3),
    ):
        result, questions, context = gate(lost=lost)
        write_reports(tmp_path / name, result, questions, replace(context, created=created))
    return tmp_path


def test_runs_come_by_time_with_each_metrics_value(past: Path) -> None:
    trend = read_trend([past])
    assert [Path(run.path).relative_to(past).parts[0] for run in trend.runs] == ["b", "c", "a"]
    assert [run.verdict for run in trend.runs][-1] == "FAIL"
    values = [run.metrics["ndcg@10"].candidate for run in trend.runs]
    assert values == [0.525, 0.4875, 0.375]
    assert not trend.broken


def test_the_interval_is_that_of_the_difference_from_the_baseline(past: Path) -> None:
    run = read_trend([past / "a"]).runs[0]
    stored = json.loads((past / "a" / "report.json").read_text())["metrics"]["ndcg@10"]
    low, high = stored["interval"]
    assert run.metrics["ndcg@10"].interval == pytest.approx((0.5 + low, 0.5 + high))


def test_a_report_that_is_found_twice_counts_once(past: Path) -> None:
    assert len(read_trend([past, past / "a", past / "a" / "report.json"]).runs) == 3


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", "Expecting property name"),
        (b"\xff\xfe\x00", ""),
        (b"[]", "is no gate's report"),
        (b'{"dataset": "a run of eval run", "figures": {}}', "is no gate's report: it has no verdict"),
        (b'{"verdict": "GOOD", "metrics": {}, "times": {"created": "2026-11-22T10:00:00Z"}}', "'GOOD' is not a valid"),
        (b'{"verdict": "PASS", "metrics": {}, "times": {"created": "yesterday"}}', "yesterday"),
        (
            b'{"verdict": "PASS", "metrics": {"m": 3}, "times": {"created": "2026-11-22T10:00:00Z"}}',
            "metric m is no object",
        ),
        (
            b'{"verdict": "PASS", "metrics": {"m": {"verdict": "PASS", "candidate": NaN}}, "times": {"created": "2026-11-22"}}',
            "metric m has nan where a number should be",
        ),
        (b"[" * 100_000, ""),
    ],
)
def test_a_broken_file_is_named_and_the_others_are_shown(past: Path, content: bytes, error: str) -> None:
    broken = past / "z" / "report.json"
    broken.parent.mkdir()
    broken.write_bytes(content)
    trend = read_trend([past])
    assert len(trend.runs) == 3
    assert list(trend.broken) == [str(broken)]
    assert error in trend.broken[str(broken)]


def test_folders_without_a_report_are_an_error_that_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no gate's report in .*there is no report.json.*--out"):
        read_trend([tmp_path])
    with pytest.raises(ConfigError, match="no such folder"):
        read_trend([tmp_path / "nowhere"])


def test_the_page_has_a_line_a_metric_and_a_dot_a_run(past: Path) -> None:
    page = trend_html(read_trend([past]))
    assert page.count("<figure>") == 4
    assert page.count('class="dot ') == 4 * 3 + 3
    assert page.count("<polyline") == 4


def test_runs_on_different_versions_of_a_dataset_are_not_joined(past: Path) -> None:
    for name, version in (("a", "company@1"), ("c", "company@2")):
        path = past / name / "report.json"
        report: dict[str, Any] = json.loads(path.read_text())
        path.write_text(json.dumps(report | {"dataset": version}))
    assert "<polyline" not in trend_html(read_trend([past]))


def test_hostile_names_are_text_on_the_page(tmp_path: Path) -> None:
    write_reports(tmp_path, *gate(hostile=HOSTILE))
    page = trend_html(read_trend([tmp_path]))
    assert "<script" not in page.replace("<style>", "")
    assert "<img" not in page
