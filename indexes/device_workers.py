"""One process for each accelerator: texts are dealt out in shares, and a process that dies is replaced once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.errors import EmbedderError

Embed = Callable[[Sequence[str]], Float32Matrix]
MakeEmbed = Callable[[str], Embed]
"""Loads the model on the named device, in the worker's process; must be picklable, as a function of a module is."""

_SHARE = 4096
"""Texts a worker gets at once: many batches, and little to repeat if it dies."""
_TRIES = 2
_TEN_MINUTES = 600.0


@dataclass(slots=True)
class _Worker:
    device: str
    process: Any
    connection: Connection
    share: int | None = field(default=None)


class DeviceWorkers:
    """Embeds on several devices at once, a spawned process each. Use as a context, or `close` it.

    Args:
        make: called with the device's name in each worker.
        devices: such as `cuda:0`, `cuda:1`.
        timeout_s: longest silence while shares are out before the workers are given up.
    """

    def __init__(self, make: MakeEmbed, devices: Sequence[str], *, timeout_s: float = _TEN_MINUTES) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._workers = [self._spawned(device) for device in devices]

    def __enter__(self) -> DeviceWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def embed(self, texts: Sequence[str], *, dim: int) -> Float32Matrix:
        """Return one row a text, shape (n, dim), in the order given, whichever device encoded it.

        Raises:
            EmbedderError: a worker raised, a share's worker died twice, or nothing came back in time. The workers are closed then.
        """
        shares = [list(texts[at : at + _SHARE]) for at in range(0, len(texts), _SHARE)]
        vectors = np.empty((len(texts), dim), np.float32)
        waiting, tries, left = deque(range(len(shares))), [0] * len(shares), len(shares)
        try:
            while left:
                self._deal(waiting, tries, shares)
                for worker in self._ready():
                    share, rows = worker.share, self._answer(worker)
                    worker.share = None
                    if share is None or rows is None:
                        self._replace(worker, share, waiting, tries)
                        continue
                    vectors[share * _SHARE : share * _SHARE + len(rows)] = rows
                    left -= 1
        except BaseException:
            self.close()
            raise
        return vectors

    @property
    def alive(self) -> bool:
        """Whether texts can be embedded: false once closed."""
        return bool(self._workers)

    def close(self) -> None:
        """End every worker; none outlives this."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.kill()
            worker.process.join()
        self._workers = []

    def _deal(self, waiting: deque[int], tries: list[int], shares: list[list[str]]) -> None:
        for worker in self._workers:
            if worker.share is None and waiting:
                worker.share = waiting.popleft()
                tries[worker.share] += 1
                try:
                    worker.connection.send(shares[worker.share])
                except OSError:  # it died idle: its end shows in _ready
                    continue

    def _ready(self) -> list[_Worker]:
        """Wait until a worker that has a share answers or ends."""
        busy = [worker for worker in self._workers if worker.share is not None]
        signals = [signal for worker in busy for signal in (worker.connection, worker.process.sentinel)]
        found = wait(signals, self._timeout_s)
        if not found:
            raise EmbedderError(f"no device answered for {self._timeout_s:.0f} s; see the driver's log, then try again")
        return [worker for worker in busy if worker.connection in found or worker.process.sentinel in found]

    def _answer(self, worker: _Worker) -> Float32Matrix | None:
        """Return a worker's rows, None if it died."""
        try:
            answer = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            return None
        if isinstance(answer, str):
            raise EmbedderError(f"{worker.device}: {answer}")
        return answer

    def _replace(self, worker: _Worker, share: int | None, waiting: deque[int], tries: list[int]) -> None:
        worker.connection.close()
        worker.process.join(1)
        if share is not None:
            if tries[share] >= _TRIES:
                code = worker.process.exitcode
                raise EmbedderError(
                    f"{worker.device}: its process died twice on the same texts (exit code {code}); see the driver's log"
                )
            waiting.appendleft(share)
        self._workers[self._workers.index(worker)] = self._spawned(worker.device)

    def _spawned(self, device: str) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._make, device, theirs), daemon=True)
        process.start()
        theirs.close()  # so that its death closes the pipe
        return _Worker(device, process, ours)


def _serve(make: MakeEmbed, device: str, connection: Connection) -> None:
    """Load, then answer each share with its rows, or with a sentence that says what failed, until the pipe closes."""
    embed: Embed | None = None
    while True:
        try:
            texts = connection.recv()
        except (EOFError, OSError):
            return
        try:
            embed = embed or make(device)
            answer: Float32Matrix | str = embed(texts)
        except Exception as error:  # whatever it is, the parent must hear of it
            answer = f"{type(error).__name__}: {error}"
        connection.send(answer)
