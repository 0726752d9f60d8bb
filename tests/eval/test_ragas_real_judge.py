"""A real, weak model as the judge: what it cannot say is counted, and the coverage is there to be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eval.datasets import read_dataset
from eval.judge import JudgeOptions
from eval.ragas_run import JudgedRow, judge_rows

if TYPE_CHECKING:
    from tests.conftest import LocalServer

pytestmark = pytest.mark.slow
pytest.importorskip("ragas", reason="the extra `eval` is not installed")
MEASURE = "faithfulness"
SAMPLES = int(os.environ.get("LOREMILL_TEST_JUDGE_SAMPLES", "3"))
"""20 take nine minutes on a busy machine with two cores."""
COMPANY = Path(__file__).parents[2] / "data/company/questions.jsonl"


@pytest.mark.timeout(60 + 45 * SAMPLES)
def test_each_sample_that_a_weak_real_judge_cannot_judge_is_counted_with_its_reason(
    local_llm_server: LocalServer,
) -> None:
    """Replies are kept short for the machine's sake, so most failures here are replies cut off: this shows that they are counted."""
    samples = [sample for sample in read_dataset(COMPANY) if sample.answerable and sample.reference_contexts][:SAMPLES]
    rows = [JudgedRow(s.id, s.user_input, s.reference, s.reference_contexts, s.reference) for s in samples]
    options = JudgeOptions(
        local_llm_server.base_url, local_llm_server.model, concurrency=1, timeout_s=40, retries=0, max_tokens=40
    )
    report = judge_rows(rows, measures=[MEASURE], options=options)
    coverage, values = report.coverage[MEASURE], report.scores()[MEASURE]
    failures = report.to_json()["failures"]
    print(json.dumps(report.to_json(), indent=1))
    assert report.requests > 0, "no reply came at all"
    assert coverage.of == len(values) == SAMPLES
    assert coverage.count <= SAMPLES // 2, "this model is no judge"
    assert len(failures) == SAMPLES - coverage.count == values.count(None)
    assert all(failure["reason"] for failure in failures)
    assert report.means[MEASURE] == pytest.approx(sum(value or 0.0 for value in values) / SAMPLES)
