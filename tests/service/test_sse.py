"""Streams: closed when the client leaves, ended by an error event when something breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from indexes.errors import GeneratorError
from service import sse


def run(items: Iterator[int], *, leave_after: int | None = None, spec: str = "2.3") -> list[str]:
    """Send a stream to a client that may leave after some chunks; return what it got."""
    response = sse.stream(items, lambda item: iter([sse.event(item)]), error=lambda fault: sse.event(fault, "error"))
    got: list[str] = []

    async def talk() -> None:
        left = anyio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                got.append(message["body"].decode())
            if len(got) == leave_after:
                left.set()
                await anyio.lowlevel.checkpoint()

        await response({"type": "http", "asgi": {"spec_version": spec}}, receive, send)

    anyio.run(talk)
    return got


def test_each_item_is_one_event() -> None:
    assert run(iter([1, 2])) == ["data: 1\n\n", "data: 2\n\n"]


def test_line_breaks_in_text_do_not_break_the_event() -> None:
    assert sse.event({"text": "a\n\nb\r"}, "token") == 'event: token\ndata: {"text": "a\\n\\nb\\r"}\n\n'


def test_a_client_that_leaves_closes_the_source() -> None:
    closed = []

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append(True)

    got = run(endless(), leave_after=3)
    assert got[:3] == ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"]
    assert closed == [True]


def test_an_error_on_the_way_becomes_the_last_event() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise GeneratorError("the model at http://inner-host went away")

    first, last = run(failing())
    assert first == "data: 1\n\n"
    assert last.startswith("event: error\n")
    problem = json.loads(last.split("data: ", 1)[1])
    assert (problem["status"], problem["type"]) == (502, "urn:loremill:error:GeneratorError")
    assert "inner-host" not in last


def test_a_defect_on_the_way_shows_no_details() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise RuntimeError("inner state")

    last = run(failing())[-1]
    assert last.startswith("event: error\n")
    assert '"status": 500' in last
    assert "inner state" not in last


def test_an_error_before_the_first_item_is_raised() -> None:
    def failing() -> Iterator[int]:
        raise GeneratorError("no model")
        yield 1

    with pytest.raises(GeneratorError):
        sse.stream(failing(), lambda item: iter([str(item)]), error=str)
