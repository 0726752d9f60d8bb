"""A gate over answers that were made to be hostile: every text that a report shows tries to be more than text."""

from __future__ import annotations

from dataclasses import replace

from eval.gate import GateResult, compare
from eval.gates import Gates, parse_gates
from eval.reports import Context, Passage, Question, Side

HOSTILE = (
    '</style></script><script>window.pwned = 1</script><img src=x onerror=\'window.pwned = 2\'>" onmouseover="window.pwned = 3" '
    "<svg onload=window.pwned=4> <a href='javascript:window.pwned=5'>x</a> <!-- --> ]]> {{ 7 * 7 }} {% raw %} @octocat #1 !2 "
    "https://evil.example/x www.evil.example | `code` **bold** [link](javascript:1) \x00\x1b[31m\u202e &lt; <iframe src=//evil.example>"
)

GATES: Gates = parse_gates(
    {
        "resamples": 2000,
        "metrics": {
            "ndcg@10": {"min": 0.2, "max_drop": 0.05},
            "false_abstention": {"max": 0.9, "max_drop": 0.5},
            "leaks": {"max": 0},
            "latency_p95_ms": {"max_ratio": 3},
        },
    }
)


def gate(
    count: int = 40, *, hostile: str = "", lost: int = 12, gates: Gates = GATES
) -> tuple[GateResult, list[Question], Context]:
    """Compare over `count` questions; the candidate loses nDCG on the first `lost` and wins on the last two."""
    questions = [_question(place, count, lost, hostile) for place in range(count)]
    rows = [
        {
            name: [getattr(question, side).scores[name] for question in questions]
            for name in questions[0].baseline.scores
        }
        for side in ("baseline", "candidate")
    ]
    dataset = f"company@0123456789ab{hostile}"
    result = compare(
        rows[0], rows[1], gates=gates, candidate_id="r-new" + hostile, baseline_id="r-old" + hostile, dataset=dataset
    )
    described = {"id": "r-old" + hostile, "retrieval": {"passages": 12}, "prompt" + hostile: hostile}
    context = Context(
        candidate=described | {"id": "r-new"},
        baseline=described,
        diff={"retrieval.passages" + hostile: (12, hostile or 3)},
        dataset=dataset,
        created="2026-11-22T05:00:00+00:00",
        seconds={"ask baseline" + hostile: 3.25, "compare": 0.5},
        gates=gates,
        risk_coverage={"baseline" + hostile: [(0.5, 0.1), (1.0, 0.2)], "candidate": [(0.5, 0.2), (1.0, 0.3)]},
    )
    return result, questions, context


def _question(place: int, count: int, lost: int, hostile: str) -> Question:
    before = _side(f"It is {place} weeks at full pay.", 0.5, hostile, 10 + place)
    after = before
    if place < lost:
        after = replace(
            _side(f"It is {place + 1} weeks at half pay.", 0.0, hostile, 11 + place), abstained=place % 2 == 0
        )
    elif place >= count - 2:
        after = _side(f"It is {place} weeks at full pay, as a table says.", 1.0, hostile, 9 + place)
    return Question(
        id=f"q{place:03}" + hostile,
        question=f"How long is leave number {place}? {hostile}",
        principal=("alice", "bob")[place % 2] + hostile,
        tags=("single" + hostile, "numeric") if place % 3 else ("numeric",),
        reference="It is long. " + hostile,
        baseline=before,
        candidate=after,
    )


def _side(answer: str, ndcg: float, hostile: str, milliseconds: float) -> Side:
    text = f"Leave, so the handbook: {answer} {hostile} Ask your manager."
    support = (text.index(answer), text.index(answer) + len(answer))
    other = "Nothing of the kind is written here. " + hostile
    return Side(
        answer=answer + hostile,
        passages=(
            Passage("handbook/leave.md" + hostile, "Leave" + hostile, text, 100, 100 + len(text), True, (support,)),
            Passage("handbook/other.md", "Other" + hostile, other, 0, len(other)),
        ),
        citations=({"marker": 1, "document_id": "handbook/leave.md" + hostile, "quote": answer + hostile},),
        error=hostile,
        scores={"ndcg@10": ndcg, "false_abstention": 0.0, "leaks": 0.0, "latency_ms": milliseconds},
        latency_ms=milliseconds,
    )
