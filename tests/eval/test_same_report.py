"""The same releases, dataset and gates: the same report.json but for times, also where times are gated and whatever the concurrency."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.datasets import Sample, read_dataset, write_dataset
from eval.gate_command import gate_releases
from eval.reports.content import timeless
from rag.loremill import Loremill

COMPANY = Path(__file__).parents[2] / "data/company"
TIMED = {"latency_p95_ms: {max_ratio: 1.5}": "latency_p95_ms: {max_ratio: 1.5}\n  latency_p50_ms: {max: 0.001}"}
"""The company's own gates, and one that no machine holds, so that a time decides the verdict."""


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loremill]:
    """The company's handbook."""
    folder = tmp_path_factory.mktemp("company")
    shutil.copytree(COMPANY / "handbook", folder / "handbook")
    shutil.copy(COMPANY / "acl.yaml", folder)
    with Loremill.open(tmp_path_factory.mktemp("home"), cache_entries=0) as mill:
        mill.directory.import_principals(COMPANY / "principals.yaml")
        mill.ingest(folder, collection="company")
        yield mill


def questions() -> list[Sample]:
    """Some of the company's questions about the handbook, of each kind."""
    about = [
        sample
        for sample in read_dataset(COMPANY / "questions.jsonl")
        if all(name.startswith("handbook/") for name in sample.reference_document_ids)
    ]
    return [one for one in about if one.answerable][:6] + [one for one in about if not one.answerable][:3]


@pytest.mark.slow
def test_a_company_gate_finds_the_same_again_and_with_other_concurrency(mill: Loremill, tmp_path: Path) -> None:
    write_dataset(tmp_path / "company.jsonl", tuple(questions()))
    gates = (COMPANY / "gates.yaml").read_text()
    for line, timed in TIMED.items():
        assert line in gates
        gates = gates.replace(line, timed)
    (tmp_path / "gates.yaml").write_text(gates)
    candidate = mill.create_release("company", retrieval={"passages": 2}).id

    def held(name: str, concurrency: int) -> tuple[str, dict[str, Any]]:
        """Return report.json's text up to the times, without the head's figures of times, and the whole."""
        written = gate_releases(
            mill, candidate, "live", dataset=tmp_path / "company.jsonl", gates=tmp_path / "gates.yaml",
            out=tmp_path / name, canaries=["ZEBRA-OVERRIDE-7"], concurrency=concurrency,
        ).reports["report.json"]  # fmt: skip
        report: dict[str, Any] = json.loads(written.read_bytes())
        return json.dumps(timeless(report), indent=1), report

    (one, alone), (other, busy) = held("alone", 1), held("busy", 4)
    assert one == other
    assert alone["digest"] == busy["digest"]
    assert alone["times"] != busy["times"]
    assert alone["verdict"] == busy["verdict"] == "FAIL"
    assert any(reason.startswith("latency_p50_ms: ") for reason in alone["reasons"])
    differ = {name for name in alone if alone[name] != busy[name]}
    assert differ <= {"times", "metrics", "reasons", "verdict", "needed"}
    assert {name for name in alone["metrics"] if alone["metrics"][name] != busy["metrics"][name]} <= {
        "latency_p95_ms", "latency_p50_ms",
    }  # fmt: skip
