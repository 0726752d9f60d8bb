"""ragas's measures without a judge, and that nothing else needs ragas."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eval.ragas_offline import OFFLINE, OfflineRow, score_offline
from indexes.errors import ConfigError
from indexes.minilm import MiniLM

LEAVE = "Leave is 20 weeks."
SAME = OfflineRow("same", LEAVE, LEAVE, (LEAVE, "Moon."), (LEAVE,), ("a", "b"), ("a",))
BLANK = OfflineRow("blank", "", LEAVE, (), (LEAVE,), (), ("a",))
NO_REFERENCE = OfflineRow("none", LEAVE)


def test_values_are_ragass_blanks_count_as_0_and_rows_without_a_reference_are_out(minilm: MiniLM) -> None:
    pytest.importorskip("ragas", reason="the extra `eval` is not installed")
    scores = score_offline([SAME, BLANK, NO_REFERENCE], measures=list(OFFLINE), embedder=minilm)
    assert set(scores) == set(OFFLINE)
    assert scores["id_based_context_precision"] == {"same": 0.5, "blank": 0.0}
    assert scores["id_based_context_recall"] == {"same": 1.0, "blank": 0.0}
    for name in set(OFFLINE) - {"id_based_context_precision"}:
        assert scores[name] == {"same": pytest.approx(1.0, abs=1e-5), "blank": 0.0}, name


def test_a_measure_that_does_not_exist_or_lacks_its_embedder_is_refused() -> None:
    with pytest.raises(ConfigError, match="no offline measure 'bleu'"):
        score_offline([SAME], measures=["bleu"])
    with pytest.raises(ConfigError, match="needs an embedder"):
        score_offline([SAME], measures=["semantic_similarity"])


def test_without_ragas_all_of_it_can_be_imported_and_what_needs_it_names_the_extra() -> None:
    code = """
import sys
sys.modules["ragas"] = None  # as if it were not installed
import rag, eval.datasets, eval.dataset_check, eval.metrics, eval.judgement, eval.judge, eval.ragas_run, eval.ragas_offline
from eval.judge import JudgeOptions
from indexes.errors import DependencyMissing
try:
    eval.ragas_run.judge_rows(
        [eval.ragas_run.JudgedRow("q", "Q?", "A.", ("c",))], measures=["faithfulness"],
        options=JudgeOptions("http://localhost:1/v1", "m"),
    )
except DependencyMissing as error:
    assert error.extra == "eval", error
    print("named")
assert not [name for name in sys.modules if name.startswith(("ragas.", "langchain", "openai"))]
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "named", ran.stderr
