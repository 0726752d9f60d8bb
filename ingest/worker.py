"""The process in which documents are parsed: `python -m ingest.worker MAX_MEMORY_BYTES LIFELINE`.

Requests and answers have one form, a line of JSON whose `parts` are the lengths of the byte strings that follow it.
Never pickles: what has read a hostile file is not to be trusted with code.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

from indexes import errors
from ingest.parse import parse


def frame(head: dict[str, Any], parts: Sequence[bytes]) -> list[bytes]:
    """Return the byte strings to send, one after the other."""
    return [json.dumps({**head, "parts": [len(part) for part in parts]}).encode() + b"\n", *parts]


def _answer(request: dict[str, Any], data: bytes) -> list[bytes]:
    try:
        parsed = parse(data, **request)
    except errors.DependencyMissing as error:
        missing = {"package": str(error).split(" is not installed")[0], "extra": error.extra}
        return frame({"error": "DependencyMissing", **missing}, [])
    except errors.LoremillError as error:  # anything else is a crash
        return frame({"error": type(error).__name__, "message": str(error)}, [])
    head = {
        "title": parsed.title,
        "format": parsed.format,
        "metadata": parsed.metadata,
        "hidden": parsed.hidden,
        "attachments": [[attachment.name, attachment.format] for attachment in parsed.attachments],
    }
    return frame(head, [parsed.text.encode(), *(attachment.data for attachment in parsed.attachments)])


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(*request.pop("parts"))
        # Where the owner cannot say so, a worker that hangs ends itself.
        signal.alarm(int(request.pop("seconds")) + 10)
        for part in _answer(request, data):
            answers.write(part)
        answers.flush()
        signal.alarm(0)


def _limit_memory(max_memory_bytes: int) -> None:
    import resource

    # Data, not address space: pandoc's runtime reserves a terabyte of addresses that it never uses.
    resource.setrlimit(resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with_owner(lifeline: int) -> None:
    """Have the kernel kill this process and all that it started once the owner's end of the pipe is closed.

    The kernel does it whatever this process is doing, also in the middle of a C library's loop. Elsewhere than on
    Linux the alarm above has to do.
    """
    import fcntl

    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    _die_with_owner(int(sys.argv[2]))
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    _limit_memory(int(sys.argv[1]))
    _serve(sys.stdin.buffer, channel)
