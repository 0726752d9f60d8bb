"""The directory's price for a query: `effective` for somebody of a large group, six levels below the group that is asked for.

    python -m eval.bench.directory [--members 10000] [--levels 6] [--queries 2000]

Warm: the same state, members asked about at random, once all of them were seen (as many as are kept). After a change: each call follows a
membership that another connection added or took away, so nothing that is kept counts. Both stand beside the least that a call can
cost, one read of the generation, taken in turn with the warm ones. The last line is JSON. Exits with 1 if the median by the clock or the
99th percentile of CPU time is above `--limit` milliseconds; the clock's own 99th percentile tells how busy the machine was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from eval.bench.home import TENANT
from eval.measures import percentile
from eval.report import table
from indexes.directory import Directory
from indexes.vocabulary import Principal


def scim(members: int, levels: int) -> dict[str, object]:
    """Return a SCIM document: `members` users in group 0, which is in group 1, and so on, `levels` groups in all."""
    users = [{"id": f"u{n}", "userName": f"user{n}"} for n in range(members)]
    below = [[{"value": one["id"], "type": "User"} for one in users]]
    below += [[{"value": f"g{level}", "type": "Group"}] for level in range(levels - 1)]
    groups = [
        {"id": f"g{level}", "displayName": f"level{level}", "members": inner} for level, inner in enumerate(below)
    ]
    return {"tenant": TENANT, "Resources": [*users, *groups]}


@dataclass
class Stopwatch:
    """Times of calls in milliseconds: by the clock, and of this thread's CPU, which other work on the machine leaves alone."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def time(self, call: Callable[[Principal], object], who: Principal) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        call(who)
        self.cpu.append((time.thread_time() - cpu) * 1e3)
        self.wall.append((time.perf_counter() - wall) * 1e3)


def warm(directory: Directory, people: Iterable[Principal]) -> tuple[Stopwatch, Stopwatch]:
    """Time the bare read of the generation, and `effective`, in turn."""
    read, effective = Stopwatch(), Stopwatch()
    for who in people:
        read.time(lambda _: directory.generation(), who)
        effective.time(directory.effective, who)
    return read, effective


def after_changes(directory: Directory, other: Directory, people: Iterable[Principal]) -> Stopwatch:
    """Time `effective` right after `other` changed a membership."""
    effective = Stopwatch()
    for number, who in enumerate(people):
        (other.remove_member if number % 2 else other.add_member)("elsewhere", "group:level0", TENANT)
        effective.time(directory.effective, who)
    return effective


def measure(home: Path, *, members: int, levels: int, queries: int) -> dict[str, float]:
    """Take every figure: `CALL_CLOCK_pNN_ms`, the ratios of `CALL` to the bare read, and how long the import took.

    Raises:
        RuntimeError: somebody has not the groups that the nesting says.
    """
    file = home / "scim.json"
    file.write_text(json.dumps(scim(members, levels)))
    directory, other = Directory.open(home), Directory.open(home)
    started = time.perf_counter()
    directory.import_principals(file)
    figures = {"import_s": time.perf_counter() - started}
    draw = random.Random(1)
    people = [
        Principal(TENANT, f"user:user{n}", in_directory=True) for n in draw.sample(range(members), min(members, 2000))
    ]
    for who in people:
        if len(directory.effective(who).groups) != levels:
            raise RuntimeError(f"{who.subject} has not all of its {levels} groups")
    read, kept = warm(directory, draw.choices(people, k=queries))
    changed = after_changes(directory, other, draw.choices(people, k=queries // 4))
    for name, watch in (("read", read), ("warm", kept), ("after_change", changed)):
        figures[f"{name}_ratio"] = percentile(watch.wall, 50) / percentile(read.wall, 50)
        for clock, times in (("wall", watch.wall), ("cpu", watch.cpu)):
            figures |= {f"{name}_{clock}_p{share}_ms": percentile(times, share) for share in (50, 99)}
    directory.close()
    other.close()
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--members", type=int, default=10_000)
    arguments.add_argument("--levels", type=int, default=6)
    arguments.add_argument("--queries", type=int, default=2000)
    arguments.add_argument("--limit", type=float, default=2.0, help="most milliseconds a call may take (default 2)")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as folder:
        figures = measure(Path(folder), members=given.members, levels=given.levels, queries=given.queries)
    columns = ("wall_p50_ms", "wall_p99_ms", "cpu_p50_ms", "cpu_p99_ms", "ratio")
    rows = [
        (label, *(figures[f"{name}_{column}"] for column in columns))
        for label, name in (
            ("one read of the generation", "read"),
            ("effective, warm", "warm"),
            ("effective, right after a change", "after_change"),
        )
    ]
    print(table(("call", "p50 ms", "p99 ms", "CPU p50 ms", "CPU p99 ms", "p50 over the bare read"), rows))
    print(f"import of {given.members} users and {given.levels} groups: {figures['import_s']:.2f} s")
    judged = [figures[f"{name}_{figure}_ms"] for name in ("warm", "after_change") for figure in ("wall_p50", "cpu_p99")]
    summary = {"members": given.members, "levels": given.levels, "ok": max(judged) <= given.limit}
    print(json.dumps(summary | {name: round(figure, 4) for name, figure in figures.items()}))
    sys.exit(0 if summary["ok"] else 1)


if __name__ == "__main__":
    main()
