"""The directory's price for a query: `effective` for somebody of a large group, six levels below the group that is asked for.

    python -m eval.bench.directory [--members 10000] [--levels 6] [--queries 2000]

Warm: the same state, members asked about at random, once all of them were seen (as many as are kept). After a change: each call follows a
membership that another connection added or took away, so nothing that is kept counts. Both stand beside the least that a call can
cost, one read of the generation, taken in turn with them. The last line is JSON. Exits with 1 above `--limit` milliseconds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
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


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def warm(directory: Directory, people: Iterable[Principal]) -> tuple[list[float], list[float]]:
    """Time `effective`, and the bare read of the generation, in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for who in people:
        times[0].append(timed(lambda who=who: directory.effective(who)))  # type: ignore[misc]
        times[1].append(timed(directory.generation))
    return times


def after_changes(directory: Directory, other: Directory, people: Iterable[Principal]) -> list[float]:
    """Time `effective` right after `other` changed a membership."""
    times = []
    for number, who in enumerate(people):
        (other.remove_member if number % 2 else other.add_member)("elsewhere", "group:level0", TENANT)
        times.append(timed(lambda who=who: directory.effective(who)))  # type: ignore[misc]
    return times


def measure(home: Path, *, members: int, levels: int, queries: int) -> dict[str, float]:
    """Take every figure, in milliseconds except the import, which is in seconds.

    Raises:
        RuntimeError: somebody has not the groups that the nesting says.
    """
    file = home / "scim.json"
    file.write_text(json.dumps(scim(members, levels)))
    directory, other = Directory.open(home), Directory.open(home)
    imported = timed(lambda: directory.import_principals(file)) / 1e3
    draw = random.Random(1)
    people = [
        Principal(TENANT, f"user:user{n}", in_directory=True) for n in draw.sample(range(members), min(members, 2000))
    ]
    for who in people:
        if len(directory.effective(who).groups) != levels:
            raise RuntimeError(f"{who.subject} has not all of its {levels} groups")
    calls, reads = warm(directory, draw.choices(people, k=queries))
    changed = after_changes(directory, other, draw.choices(people, k=queries // 4))
    figures = {"import_s": imported, "ratio_warm": percentile(calls, 50) / percentile(reads, 50)}
    figures["ratio_after_change"] = percentile(changed, 50) / percentile(reads, 50)
    for name, times in (("read", reads), ("warm", calls), ("after_change", changed)):
        figures |= {f"{name}_p{share}_ms": percentile(times, share) for share in (50, 99)}
    directory.close()
    other.close()
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--members", type=int, default=10_000)
    arguments.add_argument("--levels", type=int, default=6)
    arguments.add_argument("--queries", type=int, default=2000)
    arguments.add_argument("--limit", type=float, default=2.0, help="most milliseconds for a p99 (default 2)")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as folder:
        figures = measure(Path(folder), members=given.members, levels=given.levels, queries=given.queries)
    rows = [
        (label, figures[f"{name}_p50_ms"], figures[f"{name}_p99_ms"], figures.get(f"ratio_{name}", 1.0))
        for label, name in (
            ("one read of the generation", "read"),
            ("effective, warm", "warm"),
            ("effective, right after a change", "after_change"),
        )
    ]
    print(table(("call", "p50 ms", "p99 ms", "p50 over the bare read"), rows))
    print(f"import of {given.members} users and {given.levels} groups: {figures['import_s']:.2f} s")
    ok = max(figures["warm_p99_ms"], figures["after_change_p99_ms"]) <= given.limit
    print(
        json.dumps(
            {"members": given.members, "levels": given.levels, "ok": ok} | {k: round(v, 4) for k, v in figures.items()}
        )
    )
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
