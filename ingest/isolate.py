"""Parsing in worker processes that may be killed.

A worker is `python -m ingest.worker`, not a multiprocessing child: that one would run the caller's script a second
time. Workers are kept for the next call, one for each thread that calls at the same time; a worker is replaced after
MAX_DOCUMENTS or when it has grown, for libraries leak. No worker outlives this process, however that ends.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Any

from indexes import errors
from indexes.errors import ParseError, TimedOut, TooLarge
from ingest.parse import MAX_BYTES, MAX_EXPANDED_BYTES, MAX_OCR_PAGES, OCR_SECONDS, parse, short_name
from ingest.parsers import Attachment, Parsed
from ingest.process import Worker, resident

__all__ = ["MAX_MEMORY_BYTES", "close_workers", "parse_isolated", "worker_memory"]

MAX_MEMORY_BYTES = 2_000_000_000
MAX_DOCUMENTS = 500
KEEP_BYTES = 1_000_000_000

_idle: list[Worker] = []
_busy: set[Worker] = set()
_lock = threading.Lock()


def parse_isolated(
    data: bytes,
    *,
    uri: str,
    format: str = "",
    timeout_s: float,
    max_bytes: int = MAX_BYTES,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
    max_ocr_pages: int = MAX_OCR_PAGES,
) -> Parsed:
    """Return what `ingest.parse.parse` returns, from a process that may be killed. Rows of JSONL files need none.

    Args:
        timeout_s: seconds from the call to the answer, the start of a worker included (about 0.3 s, once).
        max_memory_bytes: resident memory of the worker and what it starts, together; 95 % of them in one process.
    Raises:
        TimedOut: it took longer.
        TooLarge: it took more memory.
        ParseError: the worker died of this document.
        IngestError: as `parse`.
    Cost: about 0.4 ms more than `parse`, for a small document.
    """
    if format == "row" or len(data) > max_bytes:
        return parse(data, uri=uri, format=format, max_bytes=max_bytes, max_expanded_bytes=max_expanded_bytes)
    request = {
        "uri": uri,
        "format": format,
        "max_bytes": max_bytes,
        "max_expanded_bytes": max_expanded_bytes,
        "max_ocr_pages": max_ocr_pages,
        "ocr_seconds": min(OCR_SECONDS, timeout_s * 0.75),
    }
    short = short_name(uri)
    deadline = time.monotonic() + timeout_s
    try:
        return _parsed(*_ask(request, data, deadline, max_memory_bytes, max_bytes * 4 + max_expanded_bytes))
    except TimeoutError:
        raise TimedOut(f"{short}: parsing took longer than {timeout_s:g} s") from None
    except MemoryError:
        raise TooLarge(f"{short}: parsing it needs more than {max_memory_bytes:,} bytes of memory") from None
    except (EOFError, OSError, ValueError, TypeError, KeyError) as error:
        raise ParseError(f"{short}: the parser crashed on it") from error


def close_workers() -> None:
    """End all workers; those at work too, whose callers get a ParseError. The next call starts new ones."""
    with _lock:
        workers = [*_idle, *_busy]
        _idle.clear()
    for worker in workers:
        worker.kill()


def worker_memory() -> list[int]:
    """Return the resident bytes of each worker, with what it has started."""
    with _lock:
        pids = [worker.process.pid for worker in [*_idle, *_busy]]
    return [resident(pid) for pid in pids]


def _ask(
    request: dict[str, Any], data: bytes, deadline: float, max_memory: int, max_answer: int
) -> tuple[dict[str, Any], list[bytes]]:
    """Ask an idle worker or a new one; where an old one dies, a new one, for an earlier document may have hurt it."""
    while True:
        worker = _take_idle(max_memory) or Worker(max_memory)
        used = worker.served > 0
        with _lock:
            _busy.add(worker)
        try:
            answer = worker.ask(request, data, deadline, max_answer)
        except BaseException as error:
            worker.kill()
            if used and isinstance(error, EOFError | BrokenPipeError | MemoryError) and time.monotonic() < deadline:
                continue
            raise
        finally:
            with _lock:
                _busy.discard(worker)
        if worker.served >= MAX_DOCUMENTS or resident(worker.process.pid) > min(KEEP_BYTES, max_memory // 2):
            worker.kill()
        else:
            with _lock:
                _idle.append(worker)
        return answer


def _take_idle(max_memory: int) -> Worker | None:
    with _lock:
        worker = next((worker for worker in reversed(_idle) if worker.max_memory == max_memory), None)
        if worker is not None:
            _idle.remove(worker)
        return worker


def _parsed(head: dict[str, Any], parts: list[bytes]) -> Parsed:
    """Read a worker's answer, which is as little trusted as the document."""
    if head.get("error") == "DependencyMissing":
        raise errors.DependencyMissing(str(head["package"]), extra=str(head["extra"]))
    if "error" in head:
        known = getattr(errors, str(head["error"]), None)
        named = isinstance(known, type) and issubclass(known, errors.IngestError)
        raise (known if named else ParseError)(str(head["message"]))  # type: ignore[misc]
    text, *data = parts
    attachments = tuple(
        Attachment(str(name), part, str(format)) for (name, format), part in zip(head["attachments"], data, strict=True)
    )
    metadata, format, hidden = dict(head["metadata"]), str(head["format"]), str(head["hidden"])
    return Parsed(str(head["title"]), text.decode(), metadata, attachments, format, hidden)


def _forget() -> None:
    """A fork of this process has no workers of its own yet."""
    global _lock
    _lock = threading.Lock()
    for worker in [*_idle, *_busy]:
        os.close(worker.life)  # else this end would keep the parent's workers alive
    _idle.clear()
    _busy.clear()


atexit.register(close_workers)
os.register_at_fork(after_in_child=_forget)
