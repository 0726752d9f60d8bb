"""One worker process as its owner sees it: asked one document at a time, watched, and killed with all it has started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ingest.worker import frame

_HEAD_BYTES = 64_000_000
_WATCH_S = 0.05


class Worker:
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
        if not ready and resident(self.process.pid) > self.max_memory:
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


def resident(pid: int) -> int:
    """Resident bytes of a process and all below it; 0 where the system does not tell."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(resident(int(child)) for child in children.read_text().split())
    return total
