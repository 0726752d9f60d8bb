"""A gate on judged measures: a judge that fails makes it INCONCLUSIVE, whatever the judge wrote, and each failure is counted and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eval.datasets import Sample, write_dataset
from eval.gate_command import Held, gate_releases

if TYPE_CHECKING:
    from rag.loremill import Loremill
    from tests.conftest import OpenMill, WriteTree
    from tests.eval.conftest import Exchange, JudgeServer

pytestmark = pytest.mark.slow
pytest.importorskip("ragas", reason="the extra `eval` is not installed")
FACTS = {
    "kiln": "The kiln runs at 1,240 degrees.",
    "leave": "Parental leave is 20 weeks.",
    "glaze": "The glaze is cobalt.",
}


@pytest.fixture
def mill(open_mill: OpenMill, write_tree: WriteTree, judge_server: JudgeServer) -> Loremill:
    judge: dict[str, Any] = {"judge_base_url": judge_server.base_url, "judge_model": "scripted", "judge_retries": 0}
    opened = open_mill(cache_entries=0, **judge)
    documents: dict[str, str | bytes | None] = {f"{name}.md": f"# {name}\n\n{fact}\n" for name, fact in FACTS.items()}
    opened.ingest(write_tree(documents), collection="c", tenant="halden", allow=["everyone"])
    return opened


def hold(mill: Loremill, folder: Path) -> tuple[Held, str]:
    """Hold a gate that asks for faithfulness; return how it ended, and the page."""
    asked = {
        "kiln": "How hot does the kiln run?",
        "leave": "How long is parental leave?",
        "glaze": "What is the glaze?",
    }
    samples = tuple(Sample(name, text, FACTS[name], principal="halden/user:x") for name, text in asked.items())
    write_dataset(folder / "d.jsonl", samples)
    (folder / "gates.yaml").write_text(json.dumps({"metrics": {"faithfulness": {"min": 0.5, "min_coverage": 0.9}}}))
    candidate = mill.create_release("c", tenant="halden", retrieval={"passages": 2}).id
    held = gate_releases(mill, candidate, "live", dataset=folder / "d.jsonl", gates=folder / "gates.yaml", out=folder)
    return held, (folder / "report.html").read_text("utf-8")


def test_a_competent_judge_lets_a_faithful_candidate_pass(mill: Loremill, tmp_path: Path) -> None:
    held, page = hold(mill, tmp_path)
    metric = held.result.metrics["faithfulness"]
    assert (held.result.verdict, metric.coverage, metric.failed, metric.candidate) == ("PASS", 1, (0, 0), 1)
    assert "Not judged by" not in page


def test_one_judgement_that_fails_is_below_the_floor_and_never_a_pass(
    mill: Loremill, judge_server: JudgeServer, tmp_path: Path
) -> None:
    def garbage(exchange: Exchange) -> bool:
        return "kiln" in exchange.material.get("answer", "") and exchange.says("The verdict is 1.")

    judge_server.fault = garbage
    held, page = hold(mill, tmp_path)
    metric = held.result.metrics["faithfulness"]
    assert (held.result.verdict, held.result.exit_code, metric.failed) == ("INCONCLUSIVE", 2, (1, 1))
    assert metric.coverage == pytest.approx(2 / 3)
    assert metric.candidate == pytest.approx(2 / 3), "the failure is in the mean, at its worst"
    assert "below the floor of 0.9" in held.result.reasons[0]
    assert page.count("Not judged by <code>faithfulness</code>") == 1


def test_a_judge_that_says_nothing_of_use_settles_nothing(
    mill: Loremill, judge_server: JudgeServer, tmp_path: Path
) -> None:
    judge_server.fault = lambda exchange: exchange.says('{"statements": [', finish="length")
    held, _ = hold(mill, tmp_path)
    assert (held.result.verdict, held.result.metrics["faithfulness"].failed) == ("INCONCLUSIVE", (3, 3))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["faithfulness"]["failed_judgements"] == {"baseline": 3, "candidate": 3}
    shown = mill.evaluations("halden").list()[0]
    assert shown["summary"]["verdict"] == "INCONCLUSIVE"
