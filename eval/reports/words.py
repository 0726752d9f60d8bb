"""The verdict in a sentence."""

from __future__ import annotations

from eval.gate_result import GateResult


def headline(result: GateResult) -> str:
    """Say what the verdict means for this candidate."""
    verdicts = [str(metric.verdict) for metric in result.metrics.values()]
    failed, opened, every = verdicts.count("FAIL"), verdicts.count("INCONCLUSIVE"), len(verdicts)
    if str(result.verdict) == "PASS":
        return f"the candidate is good enough on {every} of {every} metrics"
    if str(result.verdict) == "FAIL":
        also = f"; {opened} more cannot be told" if opened else ""
        return f"the candidate is worse than allowed on {failed} of {every} metrics{also}"
    return f"{opened} of {every} metrics cannot be told to be good enough, and none is shown to be worse"


def settling(result: GateResult) -> str:
    """Say how many questions would settle what is open; empty where the gate names no number."""
    if result.needed is None:
        return ""
    return f"About {result.needed:,} questions would settle what is open; this dataset has {result.questions:,}."
