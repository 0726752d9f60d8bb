"""Speed as ratios taken in one run: warm search against the bare embedding, import time, cold processes, peak memory.

    python -m eval.bench.speed                                  # the sample company
    python -m eval.bench.speed --home H --collection scifact --as bench/user:reader --queries Q.jsonl

A search and the bare embedding of the same query are timed in turn, first one, then the other, so that whatever else
the machine does meets both. Cold figures are wall times of whole processes, medians of `--repeats`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from eval.bench.home import need, parser, progress
from eval.measures import percentile
from eval.report import table
from eval.trec import read_queries
from indexes.errors import LoremillError
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

Row = tuple[str, float, str]
"""Figure, value, unit."""

CLI = (sys.executable, "-m", "service.cli")
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print("\\n", time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status), file=sys.stderr)
"""
"""A small process between us and the measured one: Linux counts its starter's memory as a process's first peak."""
IMPORT = "import time; t = time.perf_counter(); import rag; print(time.perf_counter() - t)"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that ended well: wall seconds and the most memory it held, in MiB."""

    seconds: float
    peak_mib: float
    output: str


def run_process(command: Sequence[str]) -> Process:
    """Run a command to its end and measure it alone: neither its siblings nor the memory of who starts it count.

    Raises:
        RuntimeError: it failed; the message has the end of what it wrote on stderr.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *command], capture_output=True, text=True, check=False
    )
    written, _, last = done.stderr.rstrip("\n").rpartition("\n")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} cannot be started: {last}")
    seconds, peak, code = last.split()
    if int(code):
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {written[-2000:]}")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is in bytes there, in KiB elsewhere
    return Process(float(seconds), int(peak) / scale, done.stdout)


def interleave(
    first: Callable[[str], object], second: Callable[[str], object], queries: Sequence[str]
) -> list[list[float]]:
    """Time both on each query, in milliseconds, taking turns at going first."""
    times: list[list[float]] = [[], []]
    for number, query in enumerate(queries):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[which](query)
            times[which].append((time.perf_counter() - start) * 1000)
        progress(number + 1, len(queries))
    return times


def warm(mill: Loremill, *, collection: str, principal: Principal, queries: Sequence[str]) -> list[Row]:
    """Compare a warm search with the bare embedding of its query; each query is searched once, so no cache has it."""

    def search(query: str) -> object:
        return mill.search(query, collection=collection, principal=principal)

    def embed(query: str) -> object:
        return mill.embedder.embed_queries([query])

    for query in ("warm up", "warm up again"):
        search(query), embed(query)
    searched, embedded = interleave(search, embed, queries)
    ratios = [one / other for one, other in zip(searched, embedded, strict=True)]
    return [
        ("warm search p50", percentile(searched, 50), "ms"),
        ("warm search p95", percentile(searched, 95), "ms"),
        ("bare query embedding p50", percentile(embedded, 50), "ms"),
        ("ratio of the two p50", percentile(searched, 50) / percentile(embedded, 50), "x"),
        ("p50 of the ratios, query by query", percentile(ratios, 50), "x"),
    ]


def cold(home: Path, *, collection: str, as_: str, query: str, repeats: int) -> list[Row]:
    """Measure fresh processes: `import rag`, `loremill search`, `loremill ask`; only the disk cache is warm."""
    options = ("--collection", collection, "--as", as_, "--home", str(home), "--json")
    imports = [float(run_process((sys.executable, "-c", IMPORT)).output) for _ in range(repeats)]
    rows: list[Row] = [("import rag", median(imports), "s")]
    for verb in ("search", "ask"):
        runs = [run_process((*CLI, verb, query, *options)) for _ in range(repeats)]
        rows.append((f"cold loremill {verb}", median(run.seconds for run in runs), "s"))
        rows.append((f"cold loremill {verb}, peak memory", max(run.peak_mib for run in runs), "MiB"))
    return rows


def ingest_company(data: Path, home: Path) -> list[Row]:
    """Ingest the sample company in a process of its own, whose peak memory is that of the demo."""
    run_process((*CLI, "principals", "import", str(data / "principals.yaml"), "--home", str(home)))
    ingested = run_process((*CLI, "ingest", str(data), "--collection", "company", "--home", str(home), "--json"))
    return [
        ("ingest the company", ingested.seconds, "s"),
        ("ingest the company, peak memory", ingested.peak_mib, "MiB"),
    ]


def measure(given: argparse.Namespace, home: Path) -> list[Row]:
    """Take every figure of the table."""
    from rag.loremill import Loremill

    rows = [] if given.home else ingest_company(given.data, home)
    queries = _queries(given)
    rows += cold(home, collection=given.collection, as_=given.as_, query=queries[0], repeats=given.repeats)
    with Loremill.open(home) as mill:
        principal = mill.directory.resolve(given.as_)
        rows += warm(mill, collection=given.collection, principal=principal, queries=queries)
    return rows


def _queries(given: argparse.Namespace) -> list[str]:
    if given.queries:
        texts = list(read_queries(given.queries).values())
    else:
        from eval.datasets import read_dataset

        texts = [sample.user_input for sample in read_dataset(given.data / "questions.jsonl")]
    return list(dict.fromkeys(texts))[: given.n]


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--collection", default="company")
    arguments.add_argument("--as", dest="as_", default="alice", metavar="PRINCIPAL")
    arguments.add_argument("--queries", type=Path, help="BEIR queries (default: the company's questions)")
    arguments.add_argument("--n", type=int, default=200, help="most queries for the warm figures")
    arguments.add_argument("--repeats", type=int, default=5, help="processes for each cold figure")
    given = arguments.parse_args()
    if given.queries is None:
        need(given.data, "questions.jsonl")
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary:
        try:
            rows = measure(given, given.home or Path(temporary))
        except (LoremillError, RuntimeError) as error:
            print(error, file=sys.stderr)
            raise SystemExit(70) from error
    print(table(("figure", "value", "unit"), rows))


if __name__ == "__main__":
    main()
