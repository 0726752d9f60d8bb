"""A judge's reply is read in one way or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge_reply import read_reply
from eval.judgement import JudgementFailed


def verdict(found: dict[str, Any]) -> int:
    if not isinstance(found.get("verdict"), int):
        raise ValueError("no verdict")
    return int(found["verdict"])


@pytest.mark.parametrize(
    "reply",
    [
        '{"verdict": 1}',
        'Sure:\n```json\n{"verdict": 1}\n```\nDone.',
        '<think>{"verdict": 0} no, {half</think>{"verdict": 1}',
        '{"steps": []} {"verdict": 1} {"verdict":1}',
    ],
)
def test_thoughts_prose_fences_other_objects_and_repetition_do_not_matter(reply: str) -> None:
    assert read_reply(reply, verdict) == 1


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "wrote nothing"),
        ("1", "no JSON object"),
        ('{"verdict": 0} {"verdict": 1}', "2 different verdicts"),
        ('{"verdict": 1} {"verdict": 0}', "2 different verdicts"),
        ('{"verdict": 1, "verdict": 0}', "twice"),
        ('{"verdict": 1', "broken"),
        ('{"verdict": 1} {"verd', "broken"),
        ('{"items": [{"verdict": 1}, {"ver', "broken"),
        ('{"verdict": NaN}', "broken"),
        ('{"verdict": "good"}', "another shape: no verdict"),
        ("{" * 100_000, "broken"),
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_a_failure(reply: str, says: str) -> None:
    with pytest.raises(JudgementFailed, match=says):
        read_reply(reply, verdict)


@given(st.text(alphabet='{}[]":,01 vedict\n', max_size=60))
def test_any_text_is_a_verdict_or_a_failure_and_never_another_error(reply: str) -> None:
    with suppress(JudgementFailed):
        assert isinstance(read_reply(reply, verdict), int)
