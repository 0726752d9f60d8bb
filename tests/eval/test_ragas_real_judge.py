"""A real, weak model as the judge: what it cannot say is counted, and the coverage is there to be read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eval.bench.real_judge import judge_gate
from eval.datasets import Sample, read_dataset
from eval.judge import JudgeOptions
from eval.ragas_run import JudgedRow, judge_rows

if TYPE_CHECKING:
    from tests.conftest import LocalServer, OpenMill, WriteTree

pytestmark = pytest.mark.slow
pytest.importorskip("ragas", reason="the extra `eval` is not installed")
MEASURE = "faithfulness"
SAMPLES = int(os.environ.get("LOREMILL_TEST_JUDGE_SAMPLES", "2"))
"""20 take nine minutes on a busy machine with two cores."""
LEAVE = "# Parental leave\n\nParental leave is 20 weeks for everyone.\n"
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


@pytest.mark.skipif(
    "LOREMILL_TEST_JUDGE_SAMPLES" not in os.environ,
    reason="takes minutes: set LOREMILL_TEST_JUDGE_SAMPLES; test_judged_gate.py has the same with a scripted judge",
)
@pytest.mark.timeout(600)
def test_a_gate_whose_real_judge_mostly_fails_is_inconclusive_and_shows_each_failure(
    local_llm_server: LocalServer, open_mill: OpenMill, write_tree: WriteTree, models: Path, tmp_path: Path
) -> None:
    """`loremill eval gate` itself, with one question here; `eval.bench.real_judge` does it with 20 of the company's."""
    mill = open_mill()
    shutil.copytree(models, mill.home / "models", dirs_exist_ok=True)  # else the command compiles the embedder anew
    mill.ingest(write_tree({"leave.md": LEAVE}), collection="c", tenant="halden", allow=["everyone"])
    candidate = mill.create_release("c", tenant="halden", retrieval={"passages": 3}).id
    asked = Sample("leave", "How long is parental leave?", "20 weeks", principal="halden/user:x")
    found = judge_gate(
        mill.home, tmp_path, (asked,), candidate=candidate, url=local_llm_server.base_url,
        model=local_llm_server.model, max_tokens=24, measures=[MEASURE],
    )  # fmt: skip
    assert found.faults() == []
    metric = found.report["metrics"][MEASURE]
    assert (found.exit_code, found.report["verdict"]) == (2, "INCONCLUSIVE")
    assert metric["failed_judgements"] == {"baseline": 1, "candidate": 1}
    assert (metric["coverage"], metric["candidate"]) == (0, 0)
    assert "below the floor of 0.95" in found.report["reasons"][0]
    assert found.shown == ((MEASURE, "the reply was cut off at 24 tokens"),)
