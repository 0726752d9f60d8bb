"""How soon a right that is taken away is refused, while queries run; and that nothing of the text comes back afterwards.

    python -m eval.bench.revocation [--revocations 1000] [--http]

A home of small documents, each with a word of its own. Threads ask all the time; one of them asks for the document at stake,
again and again, as somebody who may read it. Then the right goes: by an ACL edit, by a group change or by deletion, whose text
leaves the disk right after, while the queries run. Counted is the time to the end of the first answer that refuses, from the
commit (the return of the revoking call, which does nothing after it but write it down) and from the call. A later answer that
shows the document again is a fault, as is what it tells in a stream that was open, or in an answer whose history holds it. With
`--http` a server of its own process is asked over real sockets.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.bench.crash import WORDS
from eval.bench.home import progress, serving
from eval.measures import percentile
from eval.report import table
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

TENANT, COLLECTION = "bench", "revocation"
EDITOR = Principal(TENANT, "user:editor", ("group:readers",))
KINDS = ("acl", "group", "deletion")
SHARES = (0.45, 0.35, 0.2)
GROUP = "readers"
STREAM_EVERY = 20
"""Every so many revocations a stream is open, and a conversation remembers the text."""


def word(number: int) -> str:
    """The word that only this document has."""
    return f"zq{number:05d}x"


def secret(number: int) -> str:
    """What it tells of."""
    return f"qx{number * 7919 % 10007:05d}"


def text(number: int) -> str:
    words = " ".join(random.Random(number).choices(WORDS, k=14))
    return f"# Note {word(number)}\n\nThe code of note {word(number)} is {secret(number)}. It speaks of {words}.\n"


@dataclass
class Asker:
    """How the bench asks: in process or over HTTP. Each returns everything that came out, as text."""

    search: Callable[[int], str]
    ask: Callable[[int, list[dict[str, str]]], str]
    stream: Callable[[int], Iterator[str]]
    delete: Callable[[int], None]
    set_acl: Callable[[int, list[str]], None]
    removes_itself: bool = False
    """Whether this process takes deleted texts off the disk; a server's worker does it by itself."""


@dataclass
class Tally:
    times: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    from_call: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    queries: int = 0


def fill(mill: Loremill, count: int) -> None:
    """Documents of the group's, and one member who asks."""
    with tempfile.TemporaryDirectory() as folder:
        roster = Path(folder) / "principals.yaml"
        roster.write_text(
            f"principals: {{reader: {{tenant: {TENANT}}}, editor: {{tenant: {TENANT}}}}}\n"
            f"groups: {{{GROUP}: {{tenant: {TENANT}, members: ['user:reader', 'user:editor']}}}}\n"
        )
        mill.directory.import_principals(roster)
        rows = Path(folder) / "documents.jsonl"
        acl = {"allow": [f"group:{GROUP}"]}
        lines = ({"document_id": word(n), "text": text(n), "title": word(n), "acl": acl} for n in range(count))
        rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
        mill.put_documents(rows, collection=COLLECTION, tenant=TENANT)


def in_process(mill: Loremill) -> Asker:
    reader = mill.directory.resolve("reader")
    place: dict[str, Any] = {"collection": COLLECTION, "principal": reader}

    def stream(number: int) -> Iterator[str]:
        for event in mill.ask_stream(f"What is the code of note {word(number)}?", **place):
            yield json.dumps(event.data)

    return Asker(
        search=lambda number: repr(mill.search(f"code of note {word(number)}", top_k=3, **place)),
        ask=lambda number, history: json.dumps(
            mill.ask(f"What is the code of note {word(number)}?", history=history, **place).to_json()["citations"]
        ),
        stream=stream,
        delete=lambda number: void(
            mill.delete_document(word(number), collection=COLLECTION, principal=EDITOR, wait=False)
        ),
        set_acl=lambda number, allow: void(
            mill.set_acl(collection=COLLECTION, document_id=word(number), allow=allow, tenant=TENANT)
        ),
        removes_itself=True,
    )


def void(_value: object) -> None: ...


@contextmanager
def over_http(mill: Loremill) -> Iterator[Asker]:
    """A server process on the home, asked with keys of a reader and of an administrator."""
    import httpx

    reader = mill.directory.create_key("reader")[1]
    editor = mill.directory.create_key("editor", role="administrator")[1]
    with serving(mill.home) as url:
        limits = httpx.Limits(max_keepalive_connections=20)
        with (
            httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {reader}"}, timeout=60, limits=limits
            ) as asks,
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {editor}"}, timeout=60) as edits,
        ):

            def posted(path: str, body: dict[str, Any]) -> dict[str, Any]:
                answer = asks.post(path, json={"collection": COLLECTION} | body)
                answer.raise_for_status()
                found: dict[str, Any] = answer.json()
                return found

            def stream(number: int) -> Iterator[str]:
                body = {
                    "collection": COLLECTION,
                    "stream": True,
                    "question": f"What is the code of note {word(number)}?",
                }
                with asks.stream("POST", "/v1/ask", json=body) as answer:
                    yield from (line for line in answer.iter_lines() if line.startswith("data:"))

            place = {"collection": COLLECTION}
            yield Asker(
                search=lambda n: json.dumps(
                    posted("/v1/search", {"query": f"code of note {word(n)}", "top_k": 3})["hits"]
                ),
                ask=lambda n, history: json.dumps(
                    posted("/v1/ask", {"question": f"What is the code of note {word(n)}?", "history": history})[
                        "citations"
                    ]
                ),
                stream=stream,
                delete=lambda n: void(edits.delete(f"/v1/documents/{word(n)}", params=place).raise_for_status()),
                set_acl=lambda n, allow: void(
                    edits.patch(
                        f"/v1/documents/{word(n)}", params=place, json={"acl": {"allow": allow}}
                    ).raise_for_status()
                ),
            )


class Opened:
    """A stream that is open while a right goes: in process it goes on when it is read, over HTTP as soon as the server sends."""

    def __init__(self, events: Iterator[str], *, at_once: bool) -> None:
        self._events = events
        self._came: list[tuple[float, str]] = []
        next(events)
        self._reader = threading.Thread(target=self._read)
        if at_once:
            self._reader.start()

    def _read(self) -> None:
        for event in self._events:
            self._came.append((time.perf_counter(), event))

    def after(self, moment: float) -> str:
        """Return what comes out after the moment: what had left before it had left by right."""
        if not self._reader.ident:
            self._reader.start()
        self._reader.join()
        return "".join(event for came, event in self._came if came > moment)


def revoke(mill: Loremill, asker: Asker, kind: str, number: int) -> None:
    """Take the right away, and return when that is done."""
    if kind == "acl":
        asker.set_acl(number, ["user:editor"])
    elif kind == "group":
        mill.directory.remove_member(GROUP, "user:reader", TENANT)
    else:
        asker.delete(number)


def once(mill: Loremill, asker: Asker, kind: str, number: int, tally: Tally, *, deep: bool) -> None:
    """One revocation, with a prober that asks for the document meanwhile."""
    mine = word(number)
    history = [{"role": "user", "content": f"What is the code of note {mine}?"}]
    if deep:
        history.append({"role": "assistant", "content": asker.ask(number, [])})
        opened = Opened(asker.stream(number), at_once=not asker.removes_itself)
    if f"{mine}" not in asker.search(number):
        tally.faults.append(f"{mine} was not found before its {kind} revocation")
        return
    refused_at: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        while not stop.is_set():
            found = asker.search(number)
            ended = time.perf_counter()
            if f"'{mine}'" in found or f'"{mine}"' in found:
                if refused_at:
                    tally.faults.append(f"{mine} came back after a refusal ({kind})")
            elif not refused_at:
                refused_at.append(ended)
                stop.set()

    prober = threading.Thread(target=probe)
    prober.start()
    time.sleep(0.005)
    began = time.perf_counter()
    revoke(mill, asker, kind, number)
    committed = time.perf_counter()
    if kind == "deletion" and asker.removes_itself:
        mill.remove_withdrawn(COLLECTION, tenant=TENANT)
    prober.join(timeout=20)
    stop.set()
    prober.join()
    if not refused_at:
        tally.faults.append(f"{mine} was never refused ({kind})")
        return
    tally.times[kind].append(max(0.0, refused_at[0] - committed) * 1e3)
    tally.from_call.append((refused_at[0] - began) * 1e3)
    later = asker.search(number)
    if deep:
        later += opened.after(refused_at[0]) + asker.ask(number, history)
    if f"'{mine}'" in later or f'"{mine}"' in later or secret(number) in later:
        tally.faults.append(f"{mine} came out after its {kind} revocation")
    if kind == "group":
        mill.directory.add_member(GROUP, "user:reader", TENANT)


def run(mill: Loremill, asker: Asker, revocations: int, *, load: int, documents: int) -> Tally:
    tally = Tally()
    ended = threading.Event()

    def ask_on(seed: int) -> None:
        rng = random.Random(seed)
        while not ended.is_set():
            asker.search(rng.randrange(documents))
            tally.queries += 1
            time.sleep(0.01)

    threads = [threading.Thread(target=ask_on, args=(seed,)) for seed in range(load)]
    for thread in threads:
        thread.start()
    rng = random.Random(5)
    try:
        for turn in range(revocations):
            kind = rng.choices(KINDS, SHARES)[0]
            once(mill, asker, kind, turn, tally, deep=turn % STREAM_EVERY == 0)
            progress(turn + 1, revocations)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    return tally


def main() -> None:
    from rag.loremill import Loremill

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--revocations", type=int, default=1000)
    arguments.add_argument("--load", type=int, default=2, help="threads that ask all the time")
    arguments.add_argument("--http", action="store_true")
    given = arguments.parse_args()
    documents = given.revocations + 200
    with tempfile.TemporaryDirectory() as folder, Loremill.open(Path(folder) / "home") as mill:
        fill(mill, documents)
        if given.http:
            with over_http(mill) as asker:
                tally = run(mill, asker, given.revocations, load=given.load, documents=documents)
        else:
            tally = run(mill, in_process(mill), given.revocations, load=given.load, documents=documents)
    everything = [took for times in tally.times.values() for took in times]
    rows = [
        (kind, len(times), *(percentile(times, p) for p in (50, 95, 99, 100)))
        for kind, times in {**tally.times, "all": everything, "all, from the call": tally.from_call}.items()
        if times
    ]
    print(
        f"{'over HTTP' if given.http else 'in process'}, {tally.queries} other queries meanwhile; ms from the commit to the first refusal:\n"
    )
    print(table(("revoked by", "n", "p50", "p95", "p99", "worst"), rows))
    print(f"faults: {len(tally.faults)}", *tally.faults[:10], sep="\n")
    print(json.dumps({"http": given.http, "faults": len(tally.faults)} | {row[0]: row[1:] for row in rows}))
    if tally.faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
