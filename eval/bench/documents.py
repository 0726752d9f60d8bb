"""How parsing fares on a folder of documents: what ends as text, what is refused under which name, at what cost.

    python -m eval.bench.documents [FOLDER] [--timeout 60] [--files]

Without a folder: the shared example documents. Attachments are parsed as well, three levels deep. Exit code 1 if a file
hung, a worker died or passed its memory, or a failure had no name of its own.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import LoremillError
from ingest import isolate
from ingest.parse import Attachment, format_of

DEFAULT = Path(__file__).resolve().parents[3] / "shared/data/documents"
MAX_DEPTH = 3
GRACE_S = 5.0
"""What the end of a worker may take beyond its time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one file ended.

    Args:
        error: the class of the error; empty for a parsed one.
        detail: the error's message, or what was read.
        bad: it hung, it crashed a worker, or its failure has no name of its own.
    """

    name: str
    format: str
    error: str
    detail: str
    seconds: float
    bad: bool


class MemoryWatch:
    """Notes the largest resident memory of all workers, each with what it has started, twenty times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.peak = max([self.peak, *isolate.worker_memory()])


def parse_all(data: bytes, name: str, *, timeout_s: float, depth: int = 0) -> Iterator[Outcome]:
    """Parse a document and, below it, its attachments; every one has an outcome."""
    started = time.monotonic()
    format, error, detail, bad = format_of(name), "", "", False
    attachments: tuple[Attachment, ...] = ()
    try:
        parsed = isolate.parse_isolated(data, uri=name, timeout_s=timeout_s)
        format, attachments = parsed.format, parsed.attachments if depth < MAX_DEPTH else ()
        detail = f"{len(parsed.text):,} characters" + (f", {len(attachments)} attachments" if attachments else "")
    except LoremillError as failure:
        error, detail = type(failure).__name__, str(failure)
        bad = "the parser crashed" in detail
    except Exception as failure:  # what this program is here to find
        error, detail, bad = type(failure).__name__, str(failure), True
    seconds = time.monotonic() - started
    yield Outcome(name, format or "unknown", error, detail, seconds, bad or seconds > timeout_s + GRACE_S)
    for attachment in attachments:
        yield from parse_all(attachment.data, f"{name}/{attachment.name}", timeout_s=timeout_s, depth=depth + 1)


def report(outcomes: list[Outcome], peak: int) -> None:
    """One line a format, one a refused document, and the totals."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        rows[outcome.format][outcome.error or "parsed"] += 1
    for format, counts in sorted(rows.items()):
        print(f"{format:8} {'  '.join(f'{kind} {count}' for kind, count in sorted(counts.items()))}")
    for outcome in outcomes:
        if outcome.error:
            print(f"{'BAD ' if outcome.bad else ''}{outcome.error}: {outcome.detail}")
    totals = Counter(outcome.error or "parsed" for outcome in outcomes)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(f"total {len(outcomes)}: {', '.join(f'{kind} {count}' for kind, count in totals.most_common())}")
    print(f"slowest {slowest.seconds:.1f} s: {slowest.name}")
    print(f"largest worker {peak / 1e6:,.0f} MB resident")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Parse every file of a folder in limited workers.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds a file may take")
    parser.add_argument("--files", action="store_true", help="one line a file, on stderr")
    options = parser.parse_args(arguments)
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    if not files:
        print(f"no files below {options.folder}", file=sys.stderr)
        return 65
    outcomes: list[Outcome] = []
    with MemoryWatch() as memory:
        for path in files:
            name = path.relative_to(options.folder).as_posix()
            for outcome in parse_all(path.read_bytes(), name, timeout_s=options.timeout):
                outcomes.append(outcome)
                if options.files:
                    said = f"{outcome.error}: {outcome.detail}" if outcome.error else outcome.detail
                    print(f"{outcome.seconds:7.2f} s  {outcome.name}  {said}", file=sys.stderr)
    isolate.close_workers()
    report(outcomes, memory.peak)
    return int(any(outcome.bad for outcome in outcomes) or memory.peak > isolate.MAX_MEMORY_BYTES)


if __name__ == "__main__":
    sys.exit(main())
