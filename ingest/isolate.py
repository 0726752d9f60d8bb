"""Parsing in worker processes that may be killed.

A worker is `python -m ingest.worker`, not a multiprocessing child: that one would run the caller's script a second
time. Workers are kept for the next call, one for each thread that calls at the same time; a worker is replaced after
MAX_DOCUMENTS or when it has grown, for libraries leak. No worker outlives this process, however that ends.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from indexes import errors
from indexes.errors import ParseError, TimedOut, TooLarge
from ingest.parse import MAX_BYTES, MAX_EXPANDED_BYTES, MAX_OCR_PAGES, OCR_SECONDS, parse, short_name
from ingest.parsers import Attachment, Parsed
from ingest.worker import frame

__all__ = ["MAX_MEMORY_BYTES", "close_workers", "parse_isolated", "worker_memory"]

MAX_MEMORY_BYTES = 2_000_000_000
MAX_DOCUMENTS = 500
KEEP_BYTES = 1_000_000_000
_HEAD_BYTES = 64_000_000
_WATCH_S = 0.05

_idle: list[_Worker] = []
_busy: set[_Worker] = set()
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
    Cost: about 0.2 ms more than `parse`.
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
    return [_resident(pid) for pid in pids]


def _ask(
    request: dict[str, Any], data: bytes, deadline: float, max_memory: int, max_answer: int
) -> tuple[dict[str, Any], list[bytes]]:
    """Ask an idle worker or a new one; where an old one dies, a new one, for an earlier document may have hurt it."""
    while True:
        worker = _take_idle(max_memory) or _Worker(max_memory)
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
        if worker.served >= MAX_DOCUMENTS or _resident(worker.process.pid) > min(KEEP_BYTES, max_memory // 2):
            worker.kill()
        else:
            with _lock:
                _idle.append(worker)
        return answer


def _take_idle(max_memory: int) -> _Worker | None:
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
    return Parsed(str(head["title"]), text.decode(), dict(head["metadata"]), attachments, str(head["format"]))


class _Worker:
    """One process, asked one document at a time."""

    def __init__(self, max_memory: int) -> None:
        self.max_memory = max_memory
        self.served = 0
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        lifeline, self.life = os.pipe()  # nothing is ever written to it: it closes when this process ends
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest.worker", str(int(max_memory * 0.95)), str(lifeline)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=env,
                pass_fds=[lifeline],
                start_new_session=True,  # so that what it started dies with it
                bufsize=0,
            )
        except BaseException:
            os.close(self.life)
            raise
        finally:
            os.close(lifeline)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.requests, False)

    def ask(
        self, request: dict[str, Any], data: bytes, deadline: float, max_answer: int
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer's head and parts.

        Raises:
            TimeoutError, MemoryError: it passes the limit.
            EOFError, OSError: the worker has died.
            ValueError, TypeError: its answer is none.
        """
        seconds = max(0.0, deadline - time.monotonic())
        pending = [memoryview(part) for part in frame({**request, "seconds": seconds}, [data])]
        received = bytearray()
        while b"\n" not in received[-(1 << 20) :]:
            self._exchange(pending, received, deadline)
            if len(received) > _HEAD_BYTES and b"\n" not in received:
                raise ValueError("the worker's answer has no head")
        line, _, rest = received.partition(b"\n")
        head = json.loads(line)
        sizes = [int(size) for size in head["parts"]]
        if sum(sizes) > max_answer or min(sizes, default=0) < 0:
            raise MemoryError
        while len(rest) < sum(sizes):
            self._exchange(pending, rest, deadline)
        self.served += 1
        view, parts = memoryview(rest), []
        for size in sizes:
            parts.append(bytes(view[:size]))
            view = view[size:]
        return head, parts

    def _exchange(self, pending: list[memoryview], received: bytearray, deadline: float) -> None:
        """Wait for the worker a little while; send it what it takes, and take what it sends."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        poll = select.poll()
        poll.register(self.answers, select.POLLIN)
        if pending:
            poll.register(self.requests, select.POLLOUT)
        ready = dict(poll.poll(min(left, _WATCH_S) * 1000))
        if not ready and _resident(self.process.pid) > self.max_memory:
            raise MemoryError
        if self.requests in ready:
            pending[0] = pending[0][os.write(self.requests, pending[0][: 1 << 20]) :]
            if not pending[0]:
                del pending[0]
        if self.answers in ready:
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise EOFError
            received += part

    def kill(self) -> None:
        """End the process and all that it started, and leave no zombie; a second time does nothing."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # the rest of the request has nowhere to go
                if pipe is not None:
                    pipe.close()
        life, self.life = self.life, -1
        if life >= 0:
            os.close(life)


def _resident(pid: int) -> int:
    """Resident bytes of a process and all below it; 0 where the system does not tell."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_resident(int(child)) for child in children.read_text().split())
    return total


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
