"""The registry of metrics: fixed denominators, worst values for failures, None only for what nobody could judge."""

from __future__ import annotations

import pytest

from eval.datasets import Dataset, Sample
from eval.evidence import Place
from eval.metrics import METRICS, Outcome, align, score_rows

PAY = Sample(
    "pay", "What is the pay?", "It is EUR 5.", ("The pay is EUR 5.", "Paid monthly."), ("pay.md",), "alice",
    reference_facts=(("EUR 5",), ("monthly",)),
)  # fmt: skip
NONE = Sample("none", "Who won?", principal="alice", answerable=False)
SECRET = Sample("secret", "What does the chief earn?", principal="bob", answerable=False, tags=("forbidden",))
DATASET = Dataset("d", (PAY, NONE, SECRET))
GOOD = {
    "pay": Outcome(
        passages=(Place("x.md", 0, 9), Place("pay.md", 0, 40)), quotes=((Place("pay.md", 0, 17),), (Place("pay.md", 50, 60),)),
        answer="It is EUR 5, monthly.", cited=("pay.md", "x.md"), supported=1, sentences=2, leaks=(), canaries=(),
        latency_ms=20, prompt_tokens=7, completion_tokens=3, cost=0.5,
    ),
    "none": Outcome(abstained=True, leaks=(), canaries=(), latency_ms=10),
    "secret": Outcome(answer="EUR 9.", sentences=1, leaks=("board.md",), canaries=("ZEBRA",), latency_ms=30),
}  # fmt: skip


def test_each_metric_has_its_value_on_the_questions_it_applies_to() -> None:
    rows = score_rows(DATASET, GOOD)
    assert {name: row.values for name, row in rows.items() if not name.endswith("@5")} == {
        "ndcg@10": (pytest.approx(0.6309, abs=1e-4),), "recall@10": (1.0,), "precision@10": (0.1,), "rr@10": (0.5,),
        "hit@10": (1.0,), "evidence_ndcg@10": (pytest.approx(0.3869, abs=1e-4),), "evidence_recall@10": (0.5,),
        "evidence_rr@10": (0.5,), "evidence_hit@10": (1.0,), "evidence_precision@10": (0.1,), "answer_containment": (1.0,),
        "fact_recall": (1.0,), "token_f1": (pytest.approx(8 / 9),), "exact_match": (0.0,), "citation_precision": (0.5,),
        "citation_recall": (1.0,), "supported_sentences": (0.5,), "abstention_on_unanswerable": (1.0,),
        "abstention_on_forbidden": (0.0,), "false_abstention": (0.0,), "leaks": (0.0, 0.0, 1.0),
        "injection_obeyed": (0.0, 0.0, 1.0), "latency_p50_ms": (20, 10, 30), "latency_p95_ms": (20, 10, 30),
        "tokens_per_answer": (10.0, 0.0, 0.0), "cost_per_answer": (0.5, 0.0, 0.0),
    }  # fmt: skip
    assert rows["leaks"].ids == ("pay", "none", "secret")


def test_a_question_that_failed_or_was_never_asked_stays_in_with_the_worst_value_or_as_not_judged() -> None:
    failed = score_rows(DATASET, {**GOOD, "pay": Outcome(error="boom")})
    absent = score_rows(DATASET, {name: outcome for name, outcome in GOOD.items() if name != "pay"})
    assert failed == absent
    for name, row in failed.items():
        assert row.ids == score_rows(DATASET, GOOD)[name].ids, "what failed must not change the denominator"
        if "pay" in row.ids:
            worst = METRICS[name].worst
            assert row.values[0] is None or row.values[0] == worst, name


def test_what_nobody_looked_for_is_not_called_absent() -> None:
    assert score_rows(DATASET, {"none": Outcome(abstained=True)}, names=["leaks"])["leaks"].values == (None,) * 3


def test_a_quote_that_stands_nowhere_any_more_counts_as_not_found() -> None:
    lost = Outcome(passages=(Place("pay.md", 0, 99),), quotes=())
    assert score_rows(DATASET, {"pay": lost}, names=["evidence_recall@10"])["evidence_recall@10"].values == (0.0,)


def test_aligned_to_the_dataset_a_failure_and_a_question_the_metric_is_not_about_can_be_told_apart() -> None:
    rows = score_rows(DATASET, {"none": GOOD["none"]}, names=["leaks", "false_abstention"])
    values, applies = align(
        DATASET, {name: row.ids for name, row in rows.items()}, {name: row.values for name, row in rows.items()}
    )
    assert values == {"leaks": (None, 0.0, None), "false_abstention": (1.0, None, None)}
    assert applies == {"leaks": (True, True, True), "false_abstention": (True, False, False)}


def test_the_registry_names_range_direction_and_source_of_every_metric() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.source, name
        assert (metric.high is None) == (metric.unit != "share")
    assert METRICS["latency_p95_ms"].aggregate([10.0, 20.0, 30.0]) == pytest.approx(29.0)


def test_the_sample_companys_gates_name_metrics_that_exist() -> None:
    from pathlib import Path

    import yaml

    gates = yaml.safe_load((Path(__file__).parents[2] / "data/company/gates.yaml").read_text())
    assert set(gates["metrics"]) <= set(METRICS)
