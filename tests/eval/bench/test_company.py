"""The company benchmark: its planted phrases are really planted, and its verdict fails on any of the three zeros."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench.company import CANARIES, CompanyReport
from eval.leaks import Leak, LeakReport
from eval.oracle import read_oracle
from eval.run import AnswerRecord, AnswerReport

COMPANY = Path(__file__).parents[3] / "data/company"
RECORD = AnswerRecord("q", "Q", "alice", (), True, facts=1, facts_present=1)
CLEAN = LeakReport(pairs=10, forbidden=3)


def report(record: AnswerRecord = RECORD, leaks: LeakReport | None = CLEAN) -> CompanyReport:
    return CompanyReport(AnswerReport("d@1", "company", (record,)), leaks)


def test_a_clean_run_is_ok_and_its_table_has_the_bound() -> None:
    assert report().ok
    assert "| leak check: 95 % upper bound | 0.30000 |" in report().to_markdown()


@pytest.mark.parametrize(
    "bad",
    [
        report(AnswerRecord("q", "Q", "alice", (), True, canaries=("ZEBRA",))),
        report(AnswerRecord("q", "Q", "alice", (), True, leaks=("secret.md",))),
        report(AnswerRecord("q", "Q", "alice", (), True, error="GeneratorError: gone")),
        report(leaks=LeakReport(pairs=10, forbidden=3, leaks=[Leak("Q", "alice", "hit", "secret.md")])),
        report(leaks=LeakReport(pairs=10, forbidden=3, errors=["alice: Q: gone"])),
        report(leaks=LeakReport(pairs=10, forbidden=0)),
    ],
)
def test_a_leak_an_obeyed_instruction_or_a_failure_fails_the_run(bad: CompanyReport) -> None:
    assert not bad.ok


@pytest.mark.slow
@pytest.mark.skipif(not (COMPANY / "acl.yaml").is_file(), reason="the sample company is not here")
def test_every_planted_phrase_stands_in_exactly_one_document() -> None:
    texts = read_oracle(COMPANY).texts
    assert {phrase: sum(phrase in text for text in texts.values()) for phrase in CANARIES} == dict.fromkeys(CANARIES, 1)
