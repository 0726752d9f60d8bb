"""Whatever is remembered, shared, corrected, granted, moved, forgotten and erased, in any order and through any door: nothing crosses a scope.

`LOREMILL_TEST_MEMORY_TRIALS` sets how many histories are tried; `loremill audit memory --trials 20000 --processes 2` tries the same ones. And does it
find what it is for? Each mutant takes one guard of memory away, and the trials must fail. `tests/eval/test_audit_mutants.py` has those
that `loremill audit leaks` must find.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from eval.audit.crossings import Ways, audit_crossings
from eval.audit.memory_changes import CHANGES
from eval.audit.memory_doors import Library
from eval.audit.memory_looks import LOOKS
from eval.audit.memory_ways import Way, library_ways
from indexes import memory_rows
from indexes.access import AccessFilter
from indexes.memory_index import MemoryIndex
from indexes.memory_partition import Codes, Partition
from rag import correcting, forgetting, langgraph, recalling
from rag.auditing import Auditor
from rag.loremill import Loremill
from rag.memory import Memory
from rag.memory_rooms import MemoryRooms
from service import mcp
from service.audit_memory import memory_ways

pytestmark = pytest.mark.slow

TRIALS = int(os.environ.get("LOREMILL_TEST_MEMORY_TRIALS", "40"))
MOST = 300
Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def test_nothing_crosses_a_scope_through_any_door() -> None:
    found = audit_crossings(trials=TRIALS, ways=memory_ways)
    assert found.ok, found.first
    assert found.trials == TRIALS
    ways = {door.partition(" ")[0] for door, count in found.doors.items() if count.told}
    assert ways >= {"library", "http", "client", "mcp", "langchain"}


def test_the_same_seed_makes_the_same_choices() -> None:
    def tried() -> dict[str, int]:
        found = audit_crossings(trials=3, ways=in_python, seed=5)
        assert found.ok, found.first
        return {door: count.trials for door, count in found.doors.items()}

    assert tried() == tried()


def test_every_look_and_every_change_can_be_made_by_some_way() -> None:
    ways = dict(library_ways())
    if "langgraph" not in ways:
        pytest.skip("the extra `langchain` is not installed")
    for needed in (*(look[1] for look in LOOKS.values()), *(change[1] for change in CHANGES.values())):
        assert any(way.has(needed) for way in ways.values()), needed


# -- mutants -----------------------------------------------------------------------------------------------------------


@contextmanager
def in_python(_: Loremill) -> Iterator[Mapping[str, Way]]:
    yield library_ways()


def asked(*methods: str) -> Ways:
    """Return the library alone, with these methods of memory alone: what they can find is found sooner."""

    @contextmanager
    def ways(_: Loremill) -> Iterator[Mapping[str, Way]]:
        yield {"library": Way(Library, 1, frozenset(methods))}

    return ways


@contextmanager
def in_a_store(_: Loremill) -> Iterator[Mapping[str, Way]]:
    pytest.importorskip("langgraph", reason="the extra `langchain` is not installed")
    yield {"langgraph": library_ways()["langgraph"], "library": Way(Library, 0.1)}


@contextmanager
def over_mcp(mill: Loremill) -> Iterator[Mapping[str, Way]]:
    with memory_ways(mill) as ways:
        yield {"mcp": ways["mcp"]}


def everything(access: AccessFilter) -> AccessFilter:
    return replace(access, classes=frozenset(range(1, 10_000)))


def widen(patch: Patch, target: Any, name: str) -> None:
    """The function is handed a filter that lets everything through."""
    whole = getattr(target, name)
    patch.setattr(
        target, name, lambda *given, access, **more: whole(*given, access=everything(access), **more), raising=True
    )


def nothing_is_filtered(patch: Patch) -> None:
    widen(patch, MemoryIndex, "candidates")
    widen(patch, recalling, "confirm")


def confirmation_is_skipped(patch: Patch) -> None:
    widen(patch, recalling, "confirm")


def scopes_that_are_asked_for_are_ignored(patch: Patch) -> None:
    patch.setattr(recalling, "check_scopes", lambda *_: None)


def sessions_are_not_told_apart(patch: Patch) -> None:
    whole = Codes.any_of
    patch.setattr(Codes, "any_of", lambda self, texts: [] if texts == {"session"} else whole(self, texts))
    patch.setattr(recalling.Wanted, "passes", lambda self, row: self.kinds is None or row.kind in self.kinds)


def the_history_is_anybodys(patch: Patch) -> None:
    widen(patch, correcting, "history")


def a_share_is_not_audited(patch: Patch) -> None:
    whole = Auditor.did
    patch.setattr(
        Auditor, "did", lambda self, kind, *a, **more: None if kind == "memory.share" else whole(self, kind, *a, **more)
    )


def what_is_forgotten_stays_in_the_tables(patch: Patch) -> None:
    patch.setattr(forgetting, "delete", lambda db, rows: None)


def what_is_forgotten_stays_in_the_partition(patch: Patch) -> None:
    whole = Partition.refresh
    patch.setattr(
        Partition, "refresh", lambda self, db, epoch, *, gone, model_id: whole(self, db, epoch, gone=0, model_id=model_id)
    )  # fmt: skip


def tenants_share_their_rooms(patch: Patch) -> None:
    whole, access = Memory._open, MemoryRooms.access
    patch.setattr(
        Memory, "_open", lambda self, who, *, create: whole(self, replace(who, tenant="halden"), create=create)
    )
    patch.setattr(MemoryRooms, "check", lambda self, who: None)
    patch.setattr(MemoryRooms, "access", lambda self, who, **more: access(self, replace(who, tenant="halden"), **more))


def memberships_are_looked_up_once(patch: Patch) -> None:
    whole, known = MemoryRooms.access, dict[str, AccessFilter]()

    def access(self: MemoryRooms, who: Any, **more: Any) -> AccessFilter:
        return known.setdefault(f"{who.tenant} {who.subject}", whole(self, who, **more))

    patch.setattr(MemoryRooms, "access", access)


def a_prompt_is_kept_for_whoever_asks_next(patch: Patch) -> None:
    whole, kept = Memory.recall, list[Any]()

    def recall(self: Memory, query: str, *, as_prompt: bool = False, **more: Any) -> Any:
        if as_prompt:
            kept.append(whole(self, query, as_prompt=True, **more))
            return kept[-2] if len(kept) % 2 == 0 else kept[-1]
        return whole(self, query, **more)

    patch.setattr(Memory, "recall", recall)


def the_past_is_anybodys(patch: Patch) -> None:
    search, confirm = MemoryIndex.candidates, recalling.confirm

    def candidates(self: MemoryIndex, db: Any, query: Any, *, access: AccessFilter) -> Any:
        return search(self, db, query, access=access if query.as_of is None else everything(access))

    def confirmed(*given: Any, access: AccessFilter, as_of: Any = None, **more: Any) -> Any:
        return confirm(*given, access=access if as_of is None else everything(access), as_of=as_of, **more)

    patch.setattr(MemoryIndex, "candidates", candidates)
    patch.setattr(recalling, "confirm", confirmed)


def sources_come_with_a_fact_to_everybody(patch: Patch) -> None:
    widen(patch, memory_rows, "sources")
    widen(patch, recalling, "sources")


def who_reads_may_write(patch: Patch) -> None:
    patch.setattr(correcting, "_check_writable", lambda *_: None)


def a_grant_lasts_for_ever(patch: Patch) -> None:
    whole, known = MemoryRooms.granted, dict[tuple[str, str], set[str]]()

    def granted(self: MemoryRooms, scope: str) -> list[str]:
        names = known.setdefault((self.catalog.tenant, scope), set())
        names.update(whole(self, scope))
        return list(names)

    patch.setattr(MemoryRooms, "granted", granted)


def copies_outlive_what_they_were_made_of(patch: Patch) -> None:
    patch.setattr(forgetting, "_followers", lambda db, ids: (set(), set()))


def facts_outlive_the_text_that_they_follow_from(patch: Patch) -> None:
    patch.setattr(correcting, "resting", lambda db, episode_id: [])


def a_store_gives_what_it_gave_before(patch: Patch) -> None:
    whole, kept = langgraph.LoremillStore._all, dict[Any, list[Any]]()
    patch.setattr(
        langgraph.LoremillStore, "_all", lambda self, prefix: kept.setdefault(prefix, []) or kept.setdefault(
            prefix, []).__iadd__(whole(self, prefix))
    )  # fmt: skip


def tools_answer_as_whoever_called_first(patch: Patch) -> None:
    whole, first = mcp._who_requests, list[Any]()

    def who(context: Any) -> Any:
        first.append(whole(context))
        return first[0]

    patch.setattr(mcp, "_who_requests", who)


MUTANTS: dict[Mutant, Ways] = {
    nothing_is_filtered: in_python,
    confirmation_is_skipped: asked("remember", "recall", "list", "here"),
    scopes_that_are_asked_for_are_ignored: in_python,
    sessions_are_not_told_apart: in_python,
    the_history_is_anybodys: in_python,
    a_share_is_not_audited: asked("remember", "share", "list"),
    what_is_forgotten_stays_in_the_tables: in_python,
    what_is_forgotten_stays_in_the_partition: asked("remember", "recall", "scope", "forget"),
    tenants_share_their_rooms: in_python,
    memberships_are_looked_up_once: in_python,
    a_prompt_is_kept_for_whoever_asks_next: in_python,
    the_past_is_anybodys: in_python,
    sources_come_with_a_fact_to_everybody: asked("remember", "share", "list"),
    who_reads_may_write: asked("remember", "update", "list"),
    a_grant_lasts_for_ever: asked("remember", "list"),
    copies_outlive_what_they_were_made_of: asked("remember", "share", "forget", "list"),
    facts_outlive_the_text_that_they_follow_from: asked("remember", "update", "list"),
    a_store_gives_what_it_gave_before: in_a_store,
    tools_answer_as_whoever_called_first: over_mcp,
}
"""Each with the ways by which the trials look."""


@pytest.mark.parametrize(("mutate", "ways"), MUTANTS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_the_trials_find_a_mutant(mutate: Mutant, ways: Ways, monkeypatch: Patch) -> None:
    mutate(monkeypatch)
    found = audit_crossings(trials=MOST, ways=ways, until_fault=True)
    assert found.faults, f"survived {found.trials} trials"
