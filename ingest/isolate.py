"""Parsing in a worker process that may be killed.

The worker is `python -m ingest.isolate`, not a multiprocessing child: that one would run the caller's script a second
time. Its answers are JSON, never pickles, because what has read a hostile file is not to be trusted with code.
"""

from __future__ import annotations

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
from typing import Any, BinaryIO

from indexes import errors
from indexes.errors import ParseError, TimedOut
from ingest.parse import FORMATS, MAX_BYTES, MAX_EXPANDED_BYTES, format_of, parse
from ingest.parsers import Parsed

MAX_MEMORY_BYTES = 2_000_000_000

_idle: list[_Worker] = []
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
) -> Parsed:
    """Return what `ingest.parse.parse` returns, from a process that may be killed.

    Formats that no C library reads are parsed here and now. Workers are kept for the next call, one for each thread
    that calls at the same time.

    Args:
        timeout_s: seconds from the call to the answer, the start of a worker included (about 0.3 s, once).
        max_memory_bytes: memory that the worker may allocate; counts from its start, so the first call decides.
    Raises:
        TimedOut: it took longer.
        ParseError: the worker died of this document.
        IngestError: as `parse`.
    """
    name = format if format in FORMATS else format_of(f"x.{format}") or format_of(uri)
    if name not in FORMATS or FORMATS[name].in_process or len(data) > max_bytes:
        return parse(data, uri=uri, format=format, max_bytes=max_bytes, max_expanded_bytes=max_expanded_bytes)
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None or not worker.alive():
        worker = _Worker(max_memory_bytes)
    request = {"uri": uri, "format": name, "max_bytes": max_bytes, "max_expanded_bytes": max_expanded_bytes}
    try:
        answer = worker.ask(request, data, timeout_s)
    except BaseException as error:
        worker.kill()
        short = uri.rsplit("/", 1)[-1]
        if isinstance(error, TimeoutError):
            raise TimedOut(f"{short}: parsing took longer than {timeout_s:g} s") from None
        if isinstance(error, EOFError | OSError | ValueError | TypeError):
            raise ParseError(f"{short}: the parser crashed on it") from error
        raise
    with _lock:
        _idle.append(worker)
    if "error" in answer:
        known = getattr(errors, str(answer["error"]), ParseError)
        if known is errors.DependencyMissing:
            raise errors.DependencyMissing(str(answer["message"]), extra="parse")
        raise known(str(answer["message"]))
    return Parsed(str(answer["title"]), str(answer["text"]), dict(answer["metadata"]))


class _Worker:
    """One process; a request is a line of JSON and the bytes, an answer is a line of JSON."""

    def __init__(self, max_memory_bytes: int) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingest.isolate", str(max_memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,  # so that what it started dies with it
        )

    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, request: dict[str, Any], data: bytes, timeout_s: float) -> dict[str, Any]:
        """Raises TimeoutError, or EOFError or OSError where the worker has died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        head = json.dumps({**request, "size": len(data), "seconds": timeout_s}).encode() + b"\n"
        self.process.stdin.write(head + data)
        self.process.stdin.flush()
        out = self.process.stdout.fileno()
        received = bytearray()
        while not received.endswith(b"\n"):
            if not select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            part = os.read(out, 1 << 20)
            if not part:
                raise EOFError
            received += part
        answer = json.loads(received)
        if not isinstance(answer, dict):
            raise TypeError("the worker's answer is not an object")
        return answer

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # the rest of the request has nowhere to go
                if pipe is not None:
                    pipe.close()
        self.process.wait()


def _answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        parsed = parse(data, **request)
    except errors.DependencyMissing as error:
        return {"error": "DependencyMissing", "message": str(error).split(" is not installed")[0]}
    except errors.LoremillError as error:  # anything else is a crash
        return {"error": type(error).__name__, "message": str(error)}
    return {"title": parsed.title, "text": parsed.text, "metadata": parsed.metadata}


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while head := requests.readline():
        request = json.loads(head)
        data = requests.read(request.pop("size"))
        # A worker whose owner was killed while it hangs ends itself.
        signal.alarm(int(request.pop("seconds")) + 10)
        answer = json.dumps(_answer(request, data))
        signal.alarm(0)
        answers.write(answer.encode() + b"\n")
        answers.flush()


def _limit_memory(max_memory_bytes: int) -> None:
    import resource

    # Data, not address space: pandoc's runtime reserves a terabyte of addresses that it never uses.
    resource.setrlimit(resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    _limit_memory(int(sys.argv[1]))
    _serve(sys.stdin.buffer, channel)
