"""Server-sent events from a blocking iterator: pulled in the thread pool, and closed as soon as the client is gone."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import anyio
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import StreamingResponse

from indexes.errors import LoremillError
from service.problems import of_error, problem

log = logging.getLogger("loremill.http")
T = TypeVar("T")


def event(data: object, kind: str | None = None) -> str:
    """Return one event; JSON has no line breaks, so one data line is enough."""
    name = f"event: {kind}\n" if kind else ""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{name}data: {text}\n\n"


def stream(
    items: Iterator[T], write: Callable[[T], Iterator[str]], *, error: Callable[[Any], str]
) -> StreamingResponse:
    """Return a response that sends `write(item)` for each item as it comes.

    The first item is fetched before anything is sent, so that an error there still has its own status. A later one is
    sent as the last event, made by `error` from the problem document.
    """
    first = next(items)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(first, items, write, error), headers=headers, media_type="text/event-stream")


async def _events(
    first: T, rest: Iterator[T], write: Callable[[T], Iterator[str]], error: Callable[[Any], str]
) -> AsyncIterator[str]:
    try:
        for text in write(first):
            yield text
        async for item in iterate_in_threadpool(rest):
            for text in write(item):
                yield text
    except LoremillError as fault:
        yield error(json.loads(bytes(of_error(fault).body)))
    except Exception:
        log.exception("a stream failed")
        yield error(json.loads(bytes(problem(500, detail="the server's log says more").body)))
    finally:
        close = getattr(rest, "close", None)  # ends a generator's model call as well
        if close is not None:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(close)
