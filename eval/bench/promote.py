"""Promote and roll back under load: how long does each take, does a query fail, is an answer ever of two releases, what leaves a kill?

    python -m eval.bench.promote [--documents 1000] [--rounds 20] [--threads 8] [--kills 20] [--seed 1]

A collection of made-up documents is served, with a candidate beside it that differs in every part: other chunks, another
prompt, fewer passages. While threads search and ask, the candidate is promoted on a gate record and rolled back, again and again. Every result
is then held against the release that it names: its build, chunks of that build alone, the prompt that its model was given. Afterwards a
process that does nothing but move to and fro is killed at random moments; each time a fresh one must find exactly one live release, the one that
the history ends with, and answer from it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.measures import latency
from indexes.vocabulary import Principal
from rag.generate import Usage

if TYPE_CHECKING:
    from rag.loremill import Loremill
    from rag.prompts import Prompt
    from rag.releases import Release

COLLECTION = "c"
READER = Principal("t", "user:reader")
WORDS = "kiln oven clay glaze cone flame draft shelf ware slip bisque cobalt ash salt soda raku".split()  # noqa: SIM905
PROMPT = (
    "<!-- system -->\nYou write for the second version. Passages stand within {{boundary}}; else {{abstain}}\n"
    "<!-- user -->\n{{question}}\n{{passages}}\n"
)
CHANGES: dict[str, Any] = {"index": {"chunk_tokens": 40}, "prompt": "answer@2", "retrieval": {"passages": 4}}
SECOND = "the second version"


class Repeater:
    """A model that says which prompt it was given, and then all of it."""

    name = model = "repeater"

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        told.version = prompt.version
        told.second = SECOND in prompt.messages[0]["content"]
        told.passages = prompt.messages[-1]["content"].count("<<<PASSAGE")
        lines = [line for line in prompt.messages[-1]["content"].splitlines() if line.endswith(".")]
        yield "\n".join(f"{line} [1]" for line in lines[:3]) or "Nothing."
        yield Usage(1, 1)


told = threading.local()
"""What the model that answers in this thread was given."""


@dataclass
class Load:
    """Threads that search and ask until they are told to stop, and what was wrong with any result."""

    mill: Loremill
    chunks: dict[str, set[str]]
    """Of each release, the chunk ids of its build."""
    releases: dict[str, Release]
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stop.is_set():
            query, started = " ".join(rng.choices(WORDS, k=4)), time.perf_counter()
            try:
                faults = self._ask(query) if rng.random() < 0.3 else self._search(query)
            except Exception as error:  # a failed query is what is counted
                faults = [f"{type(error).__name__}: {error}"]
            self.milliseconds.append((time.perf_counter() - started) * 1e3)
            self.faults += faults

    def _search(self, query: str) -> list[str]:
        found = self.mill.search_result(query, collection=COLLECTION, principal=READER)
        self.done[found.release] += 1
        release = self.releases[found.release]
        strange = {hit.chunk_id for hit in found.hits} - self.chunks[found.release]
        wrong = [f"build {found.build} in release {release.id}"] if found.build != release.build else []
        wrong += [f"{len(strange)} hits of another build"] if strange else []
        return wrong + ([f"{len(found.hits)} hits of 10"] if len(found.hits) < 10 else [])

    def _ask(self, question: str) -> list[str]:
        told.version = None
        answer = self.mill.ask(question, collection=COLLECTION, principal=READER, generator="openai")
        self.done[answer.release] += 1
        release = self.releases[answer.release]
        strange = {citation.chunk_id for citation in answer.citations} - self.chunks[answer.release]
        found = (told.version, told.second, told.passages)
        wanted = (release.prompt, release.prompt == "answer@2", release.retrieval["passages"])
        wrong = [f"prompt, text and passages {found} in release {release.id} of {wanted}"] if found != wanted else []
        wrong += [f"cites {len(strange)} chunks of another build"] if strange else []
        return wrong + ([f"notice: {answer.notice}"] if answer.notice else [])


def write_documents(folder: Path, documents: int) -> Path:
    """Write made-up documents that everyone may read."""
    folder.mkdir(parents=True)
    (folder / "acl.yaml").write_text("tenant: t\ndefault: {allow: [everyone]}\n")
    for number in range(documents):
        rng = random.Random(number)
        text = "\n\n".join(" ".join(rng.choices(WORDS, k=30)).capitalize() + f" {number}." for _ in range(6))
        (folder / f"{number}.md").write_text(f"# Note {number}\n\n{text}\n")
    return folder


def make(mill: Loremill, source: Path) -> tuple[Release, Release]:
    """Ingest, and make the candidate; returns the live release and it."""
    (mill.home / "prompts").mkdir(parents=True)
    (mill.home / "prompts" / "answer@2.md").write_text(PROMPT)
    mill.ingest(source, collection=COLLECTION)
    candidate = mill.create_release(COLLECTION, **CHANGES)
    return mill.release("live", collection=COLLECTION), candidate


def chunks_of(mill: Loremill, release: Release) -> set[str]:
    """Return the chunk ids of a release's build."""
    from indexes.builds import Build

    return Build(mill.home / "tenants/t/collections" / COLLECTION / "builds" / release.build).chunk_id_set()


def under_load(mill: Loremill, live: Release, candidate: Release, *, rounds: int, threads: int) -> dict[str, Any]:
    """Promote and roll back so many times while threads search and ask; returns what came of it."""
    releases = {one.id: one for one in (live, candidate)}
    load = Load(mill, {name: chunks_of(mill, one) for name, one in releases.items()}, releases)
    workers = [threading.Thread(target=load.run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    times: dict[str, list[float]] = {"promote": [], "rollback": []}
    try:
        for _ in range(rounds):
            time.sleep(0.2)
            gate = {"verdict": "PASS", "candidate": candidate.id, "baseline": live.id, "dataset": "d@1"}
            mill.record_gate(COLLECTION, gate | {"created": datetime.now(UTC).isoformat(), "gates": "g", "report": "r"})
            started = time.perf_counter()
            mill.promote(candidate.id, collection=COLLECTION)
            times["promote"].append(time.perf_counter() - started)
            time.sleep(0.2)
            started = time.perf_counter()
            mill.rollback(collection=COLLECTION, reason="bench")
            times["rollback"].append(time.perf_counter() - started)
    finally:
        load.stop.set()
        for worker in workers:
            worker.join()
    return {
        **{f"{name}_s": {"median": sorted(all_)[len(all_) // 2], "max": max(all_)} for name, all_ in times.items()},
        "queries": dict(load.done),
        "query_ms": latency(load.milliseconds),
        "faults": len(load.faults),
        "first_faults": load.faults[:3],
    }


def killed(home: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Kill a process that moves to and fro at random moments, and look at what each leaves."""
    rng, outcome, faults = random.Random(seed), Counter[str](), []
    for _ in range(kills):
        command = [sys.executable, "-m", "eval.bench.promote", "--child", str(home)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise AssertionError("the child did not begin")
            time.sleep(rng.uniform(0, 0.5))
            process.kill()
        kind, found = left(home)
        outcome[kind] += 1
        faults += found
    return {"kills": kills, "left_live": dict(outcome), "faults": faults}


def left(home: Path) -> tuple[str, list[str]]:
    """Return which release a fresh process finds live, and what is wrong with it."""
    from rag import Loremill

    with Loremill.open(home, device="cpu") as mill:
        live = [one for one in mill.releases(COLLECTION) if one.live]
        moves = mill.release_history(COLLECTION)
        found = mill.search_result("kiln glaze", collection=COLLECTION, principal=READER)
        faults = [] if len(live) == 1 else [f"{len(live)} live releases"]
        if moves[0].release != live[0].id or found.release != live[0].id or found.build != live[0].build:
            faults.append(f"live {live[0].id}, history {moves[0].release}, searched {found.release}")
        if any(later.previous != earlier.release for later, earlier in pairwise(moves)):
            faults.append("the history has a gap")
        if len(found.hits) < 10 or {hit.chunk_id for hit in found.hits} - chunks_of(mill, live[0]):
            faults.append(f"{len(found.hits)} hits, some of another build")
        faults += mill.verify(COLLECTION, sources=False).faults[:3]
    return live[0].prompt, faults


def move_to_and_fro(home: Path) -> None:
    """What the child does until it is killed."""
    from rag import Loremill

    with Loremill.open(home, device="cpu") as mill:
        candidate = next(one for one in mill.releases(COLLECTION) if one.prompt == "answer@2")
        if candidate.live:
            mill.rollback(collection=COLLECTION, reason="bench")
        mill.promote(candidate.id, collection=COLLECTION, force=True, reason="bench")
        print("ready", flush=True)
        while True:
            mill.rollback(collection=COLLECTION, reason="bench")
            mill.promote(candidate.id, collection=COLLECTION, force=True, reason="bench")


def main(arguments: list[str] | None = None) -> int:
    import rag.ask
    from rag import Loremill

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        move_to_and_fro(given.child)
    setattr(rag.ask, "make_generator", lambda _name, _settings: Repeater())  # noqa: B010 - mypy
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with Loremill.open(home, device="cpu", cache_entries=0) as mill:
            live, candidate = make(mill, write_documents(Path(folder) / "docs", given.documents))
            made = {"documents": given.documents, "chunks": [len(chunks_of(mill, one)) for one in (live, candidate)]}
            loaded = under_load(mill, live, candidate, rounds=given.rounds, threads=given.threads)
        after = killed(home, kills=given.kills, seed=given.seed)
    print(json.dumps({**made, **loaded, "killed": after}))
    slow = any(loaded[name]["max"] >= 1 for name in ("promote_s", "rollback_s"))
    return 1 if slow or loaded["faults"] or after["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
