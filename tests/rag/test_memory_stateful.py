"""Whatever is remembered, shared, granted, revoked, corrected and forgotten, in whatever order: nothing crosses a scope.

A plain model knows who placed which word where. Every word that leaves by any door must be one that the model lets the principal read, and
a recall that asks for all must bring all of them. `LOREMILL_TEST_MEMORY_TRIALS` sets how many looks through all doors are made.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from indexes.access import AccessFilter
from indexes.errors import AccessDenied, MemoryNotFound
from indexes.minilm import MiniLM
from rag import Loremill

TENANT = "halden"
PEOPLE = ("user:alice", "user:bob", "agent:scout")
TEAMS = ("red", "blue")
SCOPES = ("user", "session", "team:red", "team:blue", "agent:scout", "tenant")
STEPS = 14
TRIALS = int(os.environ.get("LOREMILL_TEST_MEMORY_TRIALS", "250"))
_WORD = re.compile(r"Tok\d+ville")

people, teams, scopes, numbers = map(st.sampled_from, (PEOPLE, TEAMS, SCOPES, range(12)))


@dataclass
class Placed:
    """A word in a scope; `parent` is what it was shared from."""

    id: str
    word: str
    scope: str
    owner: str
    parent: str | None = None


class Scoped(RuleBasedStateMachine):
    """Some people and an agent, two teams, one home; all doors are looked through after every step."""

    open: Callable[[Path], Loremill]
    looks = 0

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.mill = type(self).open(Path(self._folder.name) / "home")
        self.placed: dict[str, Placed] = {}
        self.members: set[tuple[str, str]] = set()
        self.granted: set[str] = set()
        self.said = 0

    def teardown(self) -> None:
        self.mill.close()
        self._folder.cleanup()

    @initialize()
    def people_are_known(self) -> None:
        roster = Path(self._folder.name) / "principals.yaml"
        roster.write_text(json.dumps({name.partition(":")[2]: {"tenant": TENANT, "subject": name} for name in PEOPLE}))
        self.mill.directory.import_principals(roster)
        self.held = {name: self.mill.directory.resolve(name.partition(":")[2]) for name in PEOPLE}

    # -- the model -----------------------------------------------------------------------------------------------------

    def may_read(self, who: str, one: Placed) -> bool:
        if one.scope in ("user", "session"):
            return one.owner == who
        if one.scope == "tenant":
            return True
        return self.own(who, one.scope)

    def own(self, who: str, scope: str) -> bool:
        return who == scope if scope.startswith("agent:") else (who, scope.removeprefix("team:")) in self.members

    def may_write(self, who: str, scope: str, owner: str | None = None) -> bool:
        if scope in ("user", "session"):
            return owner in (None, who)
        return who in self.granted if scope == "tenant" else self.own(who, scope)

    def drop(self, ids: set[str]) -> None:
        while more := {name for name, one in self.placed.items() if one.parent in ids} - ids:
            ids |= more
        for name in ids:
            self.placed.pop(name, None)

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(who=people, scope=scopes)
    def remember(self, who: str, scope: str) -> None:
        self.said += 1
        word = f"Tok{self.said}ville"
        given: dict[str, Any] = {"principal": self.held[who], "scope": scope, "session": "s"}
        if not self.may_write(who, scope):
            with pytest.raises(AccessDenied):
                self.mill.memory.remember(f"I live in {word}.", **given)
            return
        said = self.mill.memory.remember(f"I live in {word}.", **given)
        self.placed[said.id] = Placed(said.id, word, scope, who)

    @rule(who=people, which=numbers, scope=scopes)
    def share(self, who: str, which: int, scope: str) -> None:
        one = self.pick(which)
        if one is None:
            return
        try:
            copy = self.mill.memory.share(one.id, principal=self.held[who], scope=scope)
        except MemoryNotFound:
            assert not self.may_read(who, one)
        except AccessDenied:
            assert not self.may_write(who, scope)
        else:
            assert self.may_read(who, one)
            assert self.may_write(who, scope)
            self.placed.setdefault(copy.id, Placed(copy.id, one.word, scope, who, one.id))

    @rule(who=people, which=numbers)
    def forget_one(self, who: str, which: int) -> None:
        one = self.pick(which)
        if one is not None:
            self.mill.memory.forget(principal=self.held[who], id=one.id)
            if self.may_read(who, one) and self.may_write(who, one.scope, one.owner):
                self.drop({one.id})

    @rule(who=people, scope=scopes)
    def forget_scope(self, who: str, scope: str) -> None:
        self.mill.memory.forget(principal=self.held[who], scope=scope)
        meant = [one for one in self.placed.values() if one.scope == scope and self.may_read(who, one)]
        self.drop({one.id for one in meant if self.may_write(who, scope, one.owner)})

    @rule(who=people, which=numbers)
    def update(self, who: str, which: int) -> None:
        one = self.pick(which)
        if one is None:
            return
        self.said += 1
        word = f"Tok{self.said}ville"
        try:
            self.mill.memory.update(one.id, f"I live in {word}.", principal=self.held[who])
        except (MemoryNotFound, AccessDenied):
            assert not (self.may_read(who, one) and self.may_write(who, one.scope, one.owner))
        else:
            one.word = word

    @rule(who=people, team=teams)
    def join(self, who: str, team: str) -> None:
        self.mill.directory.add_member(team, who, TENANT)
        self.members.add((who, team))

    @rule(who=people, team=teams)
    def leave(self, who: str, team: str) -> None:
        self.mill.directory.remove_member(team, who, TENANT)
        self.members.discard((who, team))

    @rule(who=people, revoke=st.booleans())
    def grant(self, who: str, revoke: bool) -> None:
        self.mill.memory.grant("tenant", who, tenant=TENANT, revoke=revoke)
        (self.granted.discard if revoke else self.granted.add)(who)

    @rule()
    def derive(self) -> None:
        assert self.mill.memory.settle(60)

    def pick(self, which: int) -> Placed | None:
        every = sorted(self.placed.values(), key=lambda one: one.id)
        return every[which % len(every)] if every else None

    # -- what must be --------------------------------------------------------------------------------------------------

    @invariant()
    def nobody_sees_a_word_that_is_not_in_a_scope_of_theirs_and_everybody_sees_their_own(self) -> None:
        for who, principal in getattr(self, "held", {}).items():
            type(self).looks += 1
            mine = [one for one in self.placed.values() if self.may_read(who, one)]
            readable, plain = {one.word for one in mine}, {one.word for one in mine if one.scope != "session"}
            memory = self.mill.memory
            found = memory.recall("Where do I live?", principal=principal, top_k=1000)
            listed = memory.list(principal=principal, limit=1000)
            told = " ".join(f"{item.text} {item.provenance} {item.metadata}" for item in [*found, *listed])
            assert set(_WORD.findall(told)) == plain, who
            assert {item.text for item in found if item.kind == "episode"} == {f"I live in {word}." for word in plain}
            prompt = memory.recall("live", principal=principal, as_prompt=True, session="s", top_k=1000)
            assert set(_WORD.findall(str(prompt))) == readable, who
            foreign = [one.id for one in self.placed.values() if one not in mine][:2]
            assert all(memory.get(name, principal=principal) is None for name in foreign)
            assert not any(memory.history(name, principal=principal) for name in foreign)
            if len({one.scope for one in mine}) > 1:
                only = memory.recall("live", principal=principal, scopes=["user"], top_k=1000)
                assert {item.scope for item in only} <= {"user"}


def run(minilm: MiniLM, trials: int, phases: tuple[Phase, ...] = tuple(Phase)) -> int:
    def open_(home: Path) -> Loremill:
        mill = Loremill.open(home, audit=False)
        mill.embedder = minilm
        return mill

    machine: Any = type("ScopedHere", (Scoped,), {"open": staticmethod(open_)})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, trials // (STEPS * len(PEOPLE))), stateful_step_count=STEPS, deadline=None,
            derandomize=True, suppress_health_check=checks, phases=phases,
            report_multiple_bugs=False,
        ),
    )  # fmt: skip
    return int(machine.looks)


@pytest.mark.slow
def test_nothing_crosses_a_scope_whatever_happens(minilm: MiniLM) -> None:
    assert run(minilm, TRIALS) > 0


@pytest.mark.slow
def test_without_the_access_filter_the_trials_fail(minilm: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the checks: every class readable to everybody in what reads rows, and the machine must notice."""

    class Everything(frozenset):  # type: ignore[type-arg]
        def __contains__(self, item: object) -> bool:
            return True

    honest = AccessFilter.__init__

    def open_all(self: AccessFilter, *args: Any, **more: Any) -> None:
        honest(self, *args, **more)
        object.__setattr__(self, "classes", Everything(range(1, 60)))

    monkeypatch.setattr(AccessFilter, "__init__", open_all)
    with pytest.raises(AssertionError):
        run(minilm, TRIALS, (Phase.generate,))
