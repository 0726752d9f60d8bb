"""Killed at any moment, memory has lost nothing that it acknowledged, and shows nothing that is half forgotten."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.vocabulary import digest
from rag import Loremill, Principal

ALICE = Principal("halden", "user:alice", ("group:ops",))

WORKER = """
import sys
import importlib.util
spec = importlib.util.spec_from_file_location("crash", sys.argv[3])
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
ALICE, open_here = here.ALICE, here.open_here
mill = open_here(sys.argv[1])
start, alive = int(sys.argv[2]), []
for number in range(start, start + 100_000):
    said = mill.memory.remember(f"I live in Tok{number}ville.", principal=ALICE, speaker=f"P{number % 5}", session="s")
    print("said", said.id, number, flush=True)
    alive.append((said.id, number))
    if number % 4 == 3:
        name, told = alive.pop(0)
        print("doomed", name, told, flush=True)
        mill.memory.forget(principal=ALICE, id=name)
        print("gone", name, told, flush=True)
    if number % 7 == 6:
        mill.memory.update(alive[-1][0], f"I live in Tok{number}ville by the sea.", principal=ALICE)
"""


class Digests:
    """Vectors without a model, so that a process is up in no time: what is tested here is what a kill leaves."""

    model_id, dim, max_tokens = "digests", 16, 256

    def embed_passages(self, texts: list[str]) -> Float32Matrix:
        rows = [np.frombuffer(bytes.fromhex(digest(text)), np.uint8)[:16] for text in texts]
        found = np.array(rows, np.float32).reshape(-1, 16) - 127
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    embed_queries = embed_passages

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def open_here(home: Path | str) -> Loremill:
    mill = Loremill.open(home)
    mill.embedder = Digests()
    return mill


def work_and_kill(home: Path, start: int, lines: int) -> list[list[str]]:
    """Let a process work until it has said so many lines, kill it in the middle of whatever is next, and return all that it said."""
    command = [sys.executable, "-c", WORKER, str(home), str(start), __file__]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    return [line.split() for line in told if line.endswith("\n")]


def test_after_kills_all_that_was_acknowledged_is_there_and_nothing_half_forgotten(home: Path) -> None:
    rng, told = random.Random(7), list[list[str]]()
    for turn in range(2):
        told += work_and_kill(home, turn * 100_000, rng.randint(10, 40))
    said = {name: number for kind, name, number in told if kind == "said"}
    gone = {name for kind, name, _ in told if kind == "gone"}
    doomed = {name for kind, name, _ in told if kind == "doomed"} - gone
    assert said
    assert gone
    with open_here(home) as mill:
        assert not any(mill.memory.get(name, principal=ALICE) for name in gone)
        assert all(mill.memory.get(name, principal=ALICE) for name in said.keys() - gone - doomed)
        mill.memory.recall("live", principal=ALICE)
        assert mill.memory.settle(60)
        for name in sorted(said.keys() - gone - doomed)[:5]:
            found = mill.memory.recall(f"Tok{said[name]}ville", principal=ALICE, top_k=1000, kinds=["episode"])
            assert name in {item.id for item in found}
        half = {name for name in doomed if mill.memory.get(name, principal=ALICE) is None}
    with closing(sqlite3.connect(home / "tenants" / "halden" / "catalog.db")) as db:
        dump = "\n".join(db.iterdump())
        assert not [name for name in gone | half if name in dump or f"Tok{said[name]}ville" in dump]
        counts = "SELECT count(*) FROM memory_items", "SELECT count(*) FROM memory_vectors"
        assert db.execute(counts[0]).fetchone() == db.execute(counts[1]).fetchone()
        assert db.execute("SELECT count(*) FROM memory_pending").fetchone() == (0,)
        lost = "SELECT count(*) FROM memory_items WHERE kind <> 'episode' AND retired IS NULL AND id NOT IN (SELECT item_id FROM memory_sources)"
        assert db.execute(lost).fetchone() == (0,)
