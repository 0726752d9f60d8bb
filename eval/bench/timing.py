"""Forbidden or not there: do answers differ, and does their time tell?

    python -m eval.bench.timing [--pairs 2000] [--with-model 300]

Two homes hold the same documents that we may read, and as many that we may not, which are about other things in each home. A pair is one
and the same request to both: in one home what it asks for is forbidden, in the other it never was. Searches in each mode and by a filter,
questions, descriptions, deletions and changes of rights over HTTP, in random order. Status, headers and body must be equal but for the
homes' own build and release ids and the timings. Of the times are reported the medians, the mean difference with its 95 % interval, and the
share of pairs in which the forbidden one took longer: .5 tells nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eval.bench.home import progress, serving
from eval.report import table
from eval.significance import paired_bootstrap

TENANT, COLLECTION = "bench", "timing"
_NOISE = re.compile(r'"timings_ms": ?\{[^}]*\}|"(?:build|release)": ?"[^"]*"|content-length\W+\d+|date\W+[\w, :]+GMT')
WITH_MODEL = {"search, dense", "search, hybrid", "ask"}
Request = Callable[[str], str]


def word(number: int, home: int) -> str:
    """What a forbidden document of one home is about, and none of the other."""
    return "".join(random.Random(f"{number} {home}").choices("bcdfghjklmnpqrstvwxz", k=12))


def fill(mill: Any, folder: Path, pairs: int, home: int) -> None:
    rows = folder / "documents.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for number in range(pairs):
            hidden = word(number, home)
            for name, text, allow in (
                (hidden, f"The secret of project {hidden} is kept by the board.", "group:board"),
                (
                    f"open-{number}",
                    f"Note {number} of the canteen lists what is served in week {number % 52}.",
                    "everyone",
                ),
            ):
                row = {"document_id": name, "title": name, "text": text, "acl": {"allow": [allow]}}
                file.write(json.dumps(row) + "\n")
    mill.put_documents(rows, collection=COLLECTION, tenant=TENANT)


def requests(client: Any, key: str) -> dict[str, Request]:
    """Each takes the word or id and returns status, headers and body."""
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "bench"}
    place = {"collection": COLLECTION}

    def told(answer: Any) -> str:
        return _NOISE.sub("", f"{answer.status_code} {sorted(answer.headers.items())} {answer.text}")

    def searched(mode: str) -> Request:
        return lambda name: told(
            client.post("/v1/search", json=place | {"query": f"project {name}", "mode": mode}, headers=headers)
        )

    one = "/v1/documents/{}"
    nobody: dict[str, Any] = {"acl": {"allow": []}}
    return {
        "search, lexical": searched("lexical"),
        "search, dense": searched("dense"),
        "search, hybrid": searched("hybrid"),
        "search, where": lambda name: told(
            client.post(
                "/v1/search",
                json=place
                | {"query": "note of the canteen", "mode": "lexical", "where": {"title": {"gte": name, "lte": name}}},
                headers=headers,
            )
        ),
        "describe": lambda name: told(client.get(one.format(name), params=place, headers=headers)),
        "delete": lambda name: told(client.delete(one.format(name), params=place, headers=headers)),
        "change rights": lambda name: told(client.patch(one.format(name), params=place, json=nobody, headers=headers)),
        "ask": lambda name: told(
            client.post(
                "/v1/ask", json=place | {"question": f"Who keeps the secret of project {name}?"}, headers=headers
            )
        ),
    }


def compare(homes: Sequence[Request], pairs: int, rng: random.Random) -> tuple[list[float], list[float], int]:
    """Return the times in ms of missing and of forbidden, and how many pairs differ in anything but time."""
    missing, forbidden, unequal = [], [], 0
    for number in range(pairs):
        holder = number % 2  # the home in which it is forbidden
        took, said = [0.0, 0.0], ["", ""]
        for home in rng.sample((0, 1), 2):
            name = word(number, holder)
            started = time.perf_counter()
            said[home] = homes[home](name)
            took[home] = (time.perf_counter() - started) * 1e3
        forbidden.append(took[holder])
        missing.append(took[1 - holder])
        unequal += said[0] != said[1]
    return missing, forbidden, unequal


def main() -> None:
    import httpx

    from rag.loremill import Loremill

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=2000)
    arguments.add_argument(
        "--with-model", type=int, default=300, help="pairs of requests that need a model, which take longer"
    )
    given = arguments.parse_args()
    rows = []
    with ExitStack() as stack:
        homes = []
        for home in (0, 1):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with Loremill.open(folder / "home") as mill:
                fill(mill, folder, given.pairs, home)
                key = mill.directory.create_key(f"{TENANT}/user:eve", role="curator")[1]
            url = stack.enter_context(serving(folder / "home"))
            homes.append(requests(stack.enter_context(httpx.Client(base_url=url, timeout=60)), key))
        for turn, name in enumerate(homes[0]):
            both = [every[name] for every in homes]
            pairs = min(given.pairs, given.with_model) if name in WITH_MODEL else given.pairs
            missing, forbidden, unequal = compare(both, pairs, random.Random(turn))
            longer = sum(one > other for one, other in zip(forbidden, missing, strict=True)) / pairs
            medians = statistics.median(missing), statistics.median(forbidden)
            rows.append((name, pairs, unequal, *medians, str(paired_bootstrap(missing, forbidden)), longer))
            progress(turn + 1, len(homes[0]))
    print(table(("request", "pairs", "unequal", "missing ms", "forbidden ms", "mean difference", "longer"), rows))
    print(json.dumps({row[0]: {"unequal": row[2], "longer": round(row[-1], 3)} for row in rows}))
    if any(unequal for _, _, unequal, *_ in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
