"""Killed before any of its statements, a consolidation and a forgetting of many items have happened as a whole or not at all.

The process that does the work is forked from one that has everything loaded, and kills itself before its n-th statement: no moment is left to luck.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rag import Loremill, Principal
from rag.lore.consolidate import Policy
from tests.rag.test_memory_crash import open_here

ALICE = Principal("halden", "user:alice")
BOB = Principal("halden", "user:bob")
LONG_AGO = datetime.now(UTC) - timedelta(days=60)
LONGER_AGO = datetime.now(UTC) - timedelta(days=400)
POLICY = Policy(summarise_after=timedelta(days=30), retention=timedelta(days=365))
MANY = 20
KILLS = 4

State = Counter[tuple[int, str]]
WORKS: dict[str, Callable[[Loremill], Any]] = {
    "consolidate": lambda mill: mill.memory.consolidate(principal=ALICE, policy=POLICY),
    "forget by query": lambda mill: mill.memory.forget(principal=ALICE, query="harbour"),
    "forget a scope": lambda mill: mill.memory.forget(principal=ALICE, scope="user"),
}

WORKER = """
import os, shutil, signal, sys, threading
from tests.rag import test_memory_killed as here
from sqlalchemy import event
from sqlalchemy.engine import Engine
import rag.consolidating, rag.erasure.compact, rag.forgetting, rag.receipts

def work(home, kill_at):
    with here.open_here(home) as mill:
        mill.memory.list(principal=here.ALICE)
        done = 0
        def count(*_):
            nonlocal done
            if threading.current_thread() is not threading.main_thread():
                return  # facts are derived there
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        event.listen(Engine, "before_cursor_execute", count)
        here.WORKS[sys.argv[2]](mill)
        return done

def forked(home, kill_at):
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        os.write(tell, str(work(home, kill_at)).encode())
        os._exit(0)
    os.close(tell)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) == bool(kill_at), status
    return os.read(told, 20).decode()

home, kills = sys.argv[1], int(sys.argv[3])
shutil.copytree(home, home + "-done")
statements = int(forked(home + "-done", 0))
for kill in range(kills):
    kill_at = 1 + kill * (statements - 1) // (kills - 1)
    shutil.copytree(home, home + f"-{kill_at}")
    forked(home + f"-{kill_at}", kill_at)
    print(kill_at, flush=True)
"""


def state(home: Path) -> State:
    """Return what there is, of whom."""
    present = "SELECT class_id, kind || ' ' || text FROM memory_items WHERE retired IS NULL"
    with closing(sqlite3.connect(home / "tenants" / "halden" / "catalog.db")) as db:
        return Counter(db.execute(present).fetchall())


def shown(mill: Loremill) -> set[str]:
    """Return what Alice can find, by any words."""
    found = [
        *mill.memory.recall("harbour", principal=ALICE, top_k=1000),
        *mill.memory.list(principal=ALICE, limit=1000),
    ]
    return {f"{one.kind} {one.text}" for one in found}


def whole(home: Path) -> bool:
    """Return whether no row lacks its vector, no fact its source, and nothing its item."""
    faults = (
        "SELECT count(*) FROM memory_items WHERE seq NOT IN (SELECT seq FROM memory_vectors)",
        "SELECT count(*) FROM memory_vectors WHERE seq NOT IN (SELECT seq FROM memory_items)",
        "SELECT count(*) FROM memory_sources WHERE item_id NOT IN (SELECT id FROM memory_items)",
        "SELECT count(*) FROM memory_sources WHERE episode_id NOT IN (SELECT id FROM memory_items)",
        "SELECT count(*) FROM memory_events WHERE item_id NOT IN (SELECT id FROM memory_items)",
        "SELECT count(*) FROM memory_items WHERE kind <> 'episode' AND retired IS NULL AND id NOT IN (SELECT item_id FROM memory_sources)",
    )
    with closing(sqlite3.connect(home / "tenants" / "halden" / "catalog.db")) as db:
        return all(db.execute(fault).fetchone() == (0,) for fault in faults)


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an old session, things past their time, duplicates, a shared copy, and a neighbour's memory."""
    home = tmp_path_factory.mktemp("killed") / "home"
    with open_here(home) as mill:
        memory = mill.memory
        memory.remember(
            [{"role": "user", "content": f"The harbour crane {n} was inspected by Nora on site {n}."} for n in range(MANY)],
            principal=ALICE, session="talk", time=LONG_AGO,
        )  # fmt: skip
        memory.remember("The harbour festival was cancelled that year.", principal=ALICE, time=LONGER_AGO)
        for place in ("Porto", "Ghent"):
            memory.remember(f"I live in {place} near the harbour.", principal=ALICE, speaker="Alice", session="now")
        memory.grant("tenant", "user:alice", tenant="halden")
        shared = memory.remember("The harbour gate opens at six.", principal=ALICE)
        memory.share(shared.id, principal=ALICE, scope="tenant")
        memory.remember("The harbour code is a secret of mine.", principal=BOB)
        assert memory.settle(60)
    return home


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
def test_killed_before_any_statement_it_has_happened_as_a_whole_or_not_at_all(
    lived_in: Path, tmp_path: Path, work: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(lived_in, home)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(home), work, str(KILLS)], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = state(home), state(Path(f"{home}-done"))
    assert before != after
    with open_here(Path(f"{home}-done")) as mill:
        left = shown(mill)
        assert mill.memory.recall("harbour", principal=BOB)
    killed = [Path(f"{home}-{moment}") for moment in done.stdout.split()]
    assert len(killed) == KILLS
    for one in killed:
        was = state(one)
        assert was in (before, after), one.name
        assert whole(one)
        with open_here(one) as mill:
            assert {text for _, text in was} >= shown(mill)
            WORKS[work](mill)
            if work == "consolidate":
                assert mill.memory.consolidate(principal=ALICE, policy=POLICY).changes == 0
            assert shown(mill) == left
        assert state(one) == after, one.name
        assert whole(one)
