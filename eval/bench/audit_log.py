"""What the audit log adds to a query, and what it costs to verify.

    python -m eval.bench.audit_log [--events 10000] [--chunks 10]

Each writer is a process of its own that appends searches with `--chunks` hits as fast as it can, which no server does; so the
row of two writers shows what waiting for each other costs at worst. Where --folder lies decides what an fsync costs. CPU is the
mean of an append; on a busy machine it says more than the clock, whose p99 is then a turn of the scheduler.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

from eval.measures import percentile
from eval.report import table
from indexes.audit import AuditLog, SeenChunk

KEY = "a key of the benchmark"


def append_times(folder: Path, *, events: int, chunks: int, fsync: bool) -> list[float]:
    """Append so many events; return the mean CPU time of one, then what each took by the clock, in microseconds."""
    log = AuditLog(folder, key=KEY, fsync=fsync)
    seen = [
        SeenChunk(f"{number:032x}", f"handbook/document-{number}.md", number, ("everyone", "group:finance"))
        for number in range(chunks)
    ]
    times = []
    began = time.process_time()
    for _ in range(events):
        start = time.perf_counter()
        log.append("search", subject="user:alice", collection="company", build="b" * 64, release="r" * 64, chunks=seen)
        times.append((time.perf_counter() - start) * 1e6)
    return [(time.process_time() - began) * 1e6 / events, *times]


def of_writers(folder: Path, *, writers: int, events: int, chunks: int, fsync: bool) -> tuple[float, list[float]]:
    """Return the CPU time of an append and the times of all writers, each a process that appends its share of the events."""
    command = [sys.executable, "-m", "eval.bench.audit_log", "--writer", str(folder), "--chunks", str(chunks)]
    command += ["--events", str(events // writers), *(["--fsync"] if fsync else [])]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(writers)]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError("a writer failed")
    figures = [[float(figure) for figure in output.split()] for output in outputs]
    return fmean(cpu for cpu, *_ in figures), [figure for _, *times in figures for figure in times]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=10_000)
    arguments.add_argument("--chunks", type=int, default=10)
    arguments.add_argument("--folder", type=Path, help="where the logs lie meanwhile (default: the temporary folder)")
    arguments.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--fsync", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.writer:
        print(*append_times(given.writer, events=given.events, chunks=given.chunks, fsync=given.fsync))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="loremill-bench-", dir=given.folder) as temporary:
        for number, (writers, fsync) in enumerate([(1, False), (2, False), (1, True), (2, True)]):
            folder = Path(temporary) / str(number)
            cpu, times = of_writers(folder, writers=writers, events=given.events, chunks=given.chunks, fsync=fsync)
            start = time.perf_counter()
            verdict = AuditLog(folder, key=KEY).verify()
            seconds = time.perf_counter() - start
            if not verdict.ok or verdict.records != len(times):
                raise RuntimeError(f"the log of {writers} writers is not whole: {verdict.faults[:3]}")
            size = sum(path.stat().st_size for path in folder.glob("*.jsonl")) / verdict.records
            figures = (cpu, percentile(times, 50), percentile(times, 99), max(times), size)
            rows.append((writers, "yes" if fsync else "no", *(f"{value:.0f}" for value in figures), seconds))
    print(f"{given.events:,} searches with {given.chunks} hits each:\n")
    header = ("writers", "fsync", "CPU, µs", "append p50, µs", "p99, µs", "most, µs", "bytes a record", "verify all, s")
    print(table(header, rows))


if __name__ == "__main__":
    main()
