"""Ingestions that are killed, and disks that are full: is the old or the new state served, and does a second run complete?

    python -m eval.bench.crash [--kills 30] [--limits 24] [--seed 1]

Each trial begins with the same home, in which one state of a small corpus is served, and lets a process of its own ingest the
next state (documents added, changed, moved and deleted). That process is killed at a random moment or at a stage boundary, or may
write files of a certain size only, as on a disk that is full. Afterwards a fresh process must serve the old or the new
state, whole; a second run must complete; and `verify` must find source, catalog, chunks, postings and vectors in agreement.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.vocabulary import Principal

READER = Principal("t", "user:reader")
COLLECTION = "c"
BOUNDARIES = (
    "opened", "parse", "embed", "read", "build 0", "build 1", "apply_staged", "record_build", "record_duplicates",
    "serve", "committed",
)  # fmt: skip
WORDS = "kiln oven clay glaze cone flame draft shelf ware slip bisque cobalt ash salt soda raku".split()  # noqa: SIM905


def write_corpus(folder: Path, *, version: int, documents: int = 40) -> None:
    """Write a state of the corpus; version 1 adds, changes, moves and deletes some of version 0's documents."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "moved").mkdir(parents=True)
    (folder / "acl.yaml").write_text("tenant: t\ndefault: {allow: [everyone]}\n")
    for number in range(documents + 5 * version):
        words = random.Random(f"{number} {version if number % 5 == 1 else 0}")
        text = "\n\n".join(" ".join(words.choices(WORDS, k=40)) + "." for _ in range(6))
        if version and number % 5 == 2:
            continue
        name = f"moved/{number}.md" if version and number % 5 == 3 else f"{number}.md"
        (folder / name).write_text(f"# Note {number}\n\n{text}\n")


def state(home: Path) -> dict[str, str]:
    """Return what a fresh process serves: the text of each document by id, put together from dense search."""
    from rag import Loremill

    with Loremill.open(home) as mill:
        hits = mill.search("kiln", collection=COLLECTION, principal=READER, top_k=1000, mode="dense")
        listed = {info.document_id for info in mill.documents(collection=COLLECTION, principal=READER, limit=1000)}
    texts: dict[str, list[tuple[int, str]]] = {}
    for hit in hits:
        texts.setdefault(hit.document_id, []).append((hit.start, hit.text))
    if texts.keys() != listed:
        raise AssertionError(f"search and listing differ: {texts.keys() ^ listed}")
    return {name: "\n".join(text for _, text in sorted(parts)) for name, parts in texts.items()}


@dataclass(frozen=True, slots=True)
class Bed:
    """Where trials run: a home that serves the old state, the new state of the source, and what each looks like."""

    folder: Path
    old: dict[str, str]
    new: dict[str, str]
    seconds: float

    @classmethod
    def make(cls, folder: Path, *, documents: int = 40) -> Bed:
        """Write the corpus, ingest its first state, and time the ingestion of its second one."""
        write_corpus(folder / "docs", version=0, documents=documents)
        _child(folder / "home", folder / "docs").check_returncode()
        shutil.copytree(folder / "home", folder / "before")
        old = state(folder / "home")
        write_corpus(folder / "docs", version=1, documents=documents)
        started = time.perf_counter()
        _child(folder / "home", folder / "docs").check_returncode()
        return cls(folder, old, state(folder / "home"), time.perf_counter() - started)

    def trial(self, run: Callable[[Path, Path], Any]) -> str:
        """Run one fault on a copy of the old home; return `old` or `new`, or raise AssertionError."""
        home = self.folder / "trial"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.folder / "before", home)
        run(home, self.folder / "docs")
        served = state(home)
        if served not in (self.old, self.new):
            raise AssertionError("a mixture of the old and the new state is served")
        if not _verified(home, sources=served == self.new):
            raise AssertionError("verify finds faults after the crash")
        _child(home, self.folder / "docs").check_returncode()
        if state(home) != self.new or not _verified(home, sources=True):
            raise AssertionError("a second run did not complete")
        left = [path.name for path in (home / "tenants/t/collections" / COLLECTION).glob("staging*")]
        if left:
            raise AssertionError(f"the second run left {left}")
        return "new" if served == self.new else "old"


def _verified(home: Path, *, sources: bool) -> bool:
    from rag import Loremill

    with Loremill.open(home) as mill:
        return mill.verify(COLLECTION, sources=sources).ok


def _command(home: Path, docs: Path, *extra: str) -> list[str]:
    return [sys.executable, "-m", "eval.bench.crash", "--child", str(home), str(docs), *extra]


def _child(home: Path, docs: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(home, docs, *extra), capture_output=True, text=True, check=False)


def killed_after(seconds: float) -> Callable[[Path, Path], None]:
    """Kill the ingestion after so many seconds."""

    def run(home: Path, docs: Path) -> None:
        process = subprocess.Popen(_command(home, docs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()

    return run


def killed_at(boundary: str) -> Callable[[Path, Path], None]:
    """Let the ingestion kill itself at a stage boundary."""

    def run(home: Path, docs: Path) -> None:
        code = _child(home, docs, "--die-at", boundary).returncode
        if code != -signal.SIGKILL:
            raise AssertionError(f"the ingestion never came to {boundary!r}: it ended with {code}")

    return run


def limited_to(size: int) -> Callable[[Path, Path], None]:
    """Let no file grow beyond `size` bytes, as on a disk that is full."""
    return lambda home, docs: (_child(home, docs, "--limit", str(size)), None)[1]


def ingest(home: Path, docs: Path, *, die_at: str | None, limit: int | None) -> int:
    """What a child does."""
    from indexes.errors import LoremillError
    from rag import Loremill

    with Loremill.open(home, device="cpu") as mill:
        mill.embedder.embed_passages(["the model is loaded"])
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if die_at is not None:
            _arm(die_at)
        seen: dict[str, int] = {}

        def progress(stage: str, done: int, _total: int | None) -> None:
            seen[stage] = seen.get(stage, 0) + 1
            if die_at == f"{stage} {done}" or (die_at == stage and (stage == "embed" or seen[stage] == 2)):
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            mill.ingest(docs, collection=COLLECTION, progress=progress)
        except LoremillError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return error.exit_code
    return 0


def _arm(boundary: str) -> None:
    """Make the process kill itself when a step of the commit has just been done, but is not yet committed."""
    from ingest import commit, pipeline
    from rag.releases import ReleaseServing

    owner: Any = {"serve": ReleaseServing, "opened": pipeline, "read": pipeline}.get(boundary, commit)
    name = {"opened": "Scan", "read": "_counts", "committed": "collect_builds"}.get(boundary, boundary)
    real = getattr(owner, name, None)
    if real is None:
        return

    def then_die(*arguments: Any, **named: Any) -> Any:
        if boundary not in {"committed", "opened"}:
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, then_die)


def trials(bed: Bed, *, kills: int, limits: int, seed: int) -> Iterator[tuple[str, Callable[[Path, Path], None]]]:
    """Yield each fault with its name."""
    moments = random.Random(seed)
    for boundary in BOUNDARIES:
        yield f"kill at {boundary}", killed_at(boundary)
    for _ in range(kills):
        seconds = moments.uniform(0, 1.05 * bed.seconds)
        yield f"kill after {seconds:.2f} s", killed_after(seconds)
    for step in range(limits):
        size = int(4096 * (4_000_000 / 4096) ** (step / max(1, limits - 1)))
        yield f"files of at most {size:,} bytes", limited_to(size)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--limits", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--die-at", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        return ingest(*given.child, die_at=given.die_at, limit=given.limit)
    served = {"old": 0, "new": 0}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed.make(Path(folder))
        for name, run in trials(bed, kills=given.kills, limits=given.limits, seed=given.seed):
            try:
                outcome = bed.trial(run)
                served[outcome] += 1
            except (AssertionError, subprocess.CalledProcessError) as error:
                outcome = f"FAULT: {error}"
                faults.append(f"{name}: {error}")
            print(f"{name:40} {outcome}", file=sys.stderr, flush=True)
    print(json.dumps({"trials": sum(served.values()) + len(faults), "served": served, "faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
