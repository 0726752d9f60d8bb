"""What a judge wrote, read so strictly that it can be read in one way only. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from eval.judgement import JudgementFailed

T = TypeVar("T")
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


def read_reply(reply: str, validate: Callable[[dict[str, Any]], T]) -> T:
    """Return the one JSON object of `reply` that `validate` accepts.

    Thoughts in `<think>` at the start, code fences and prose around the object do not matter. Objects of another shape are
    passed over; two acceptable ones that differ are a failure, whichever comes first, as is JSON that breaks off: nobody
    can tell what the judge meant.

    Args:
        validate: turns a decoded object into what is wanted; raises ValueError where it has another shape.
    Raises:
        JudgementFailed: there is no such object, or more than one.
    """
    text = _THOUGHTS.sub("", reply, count=1)
    accepted: list[tuple[dict[str, Any], T]] = []
    faults: list[str] = []
    for found in _objects(text):
        try:
            verdict = validate(found)
        except ValueError as error:
            faults.append(" ".join(str(error).split())[:200])
            continue
        if not any(found == before for before, _ in accepted):
            accepted.append((found, verdict))
    if len(accepted) > 1:
        raise JudgementFailed(f"the judge gave {len(accepted)} different verdicts in one reply")
    if not accepted:
        raise JudgementFailed(f"the judge's JSON has another shape: {faults[0]}" if faults else _without_json(reply))
    return accepted[0][1]


def _objects(text: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused)
    found: list[dict[str, Any]] = []
    at = text.find("{")
    while at != -1:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise JudgementFailed(f"the judge's JSON is broken: {str(error)[:200]}") from error
        found.append(value)
        at = text.find("{", end)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a key appears twice")
    return dict(pairs)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _without_json(reply: str) -> str:
    start = " ".join(reply.split())[:80]
    return f"the judge wrote no JSON object: {start!r}" if start else "the judge wrote nothing"
