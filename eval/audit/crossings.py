"""Does anything cross a scope of memory? Random histories through every way in, against the plainest rules there are (`eval.audit.lore`).

A trial is one history of its own: four people, an agent among them, in two tenants with the same names and teams, remember something each, and
then do `STEPS` things one after another (remember, update, restore, share, forget, consolidate, put a value; or are moved between teams, granted
writing, erased), each through a way in drawn at random. After each of these every one of the four looks once, through a way and by a look
drawn at random. A look or a change crosses if a word comes out that the rules do not let that person read at that moment; it is wrong
if what they may read, or what was to be expected else (a refusal, a count), differs.

Trials share homes, `TRIALS_A_HOME` each, with names and words of their own: what a former trial left is as foreign as any.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.audit.material import Material
from eval.audit.memory_changes import CHANGES, OPERATIONS
from eval.audit.memory_looks import LOOKS
from eval.audit.memory_ways import Way
from eval.audit.report import DoorCount, LeakAudit
from eval.audit.stage import Stage
from eval.audit.trial import Trial
from eval.audit.world import Person, World
from indexes.vocabulary import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from indexes.arrays import Float32Matrix
    from rag.loremill import Loremill

STEPS = 4
TRIALS_A_HOME = 50
TENANTS = ("halden", "rival")
_SHOWN = 20
_KINDS = {**CHANGES, **OPERATIONS}

Ways = Callable[["Loremill"], "AbstractContextManager[Mapping[str, Way]]"]
"""Opens the ways into a mill's memory."""


class Digests:
    """Vectors without a model: every look asks for all that it may have, so that nearness decides nothing here."""

    model_id, dim, max_tokens = "digests", 16, 256

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        rows = [np.frombuffer(bytes.fromhex(digest(text)), np.uint8)[: self.dim] for text in texts]
        found = np.array(rows, np.float32).reshape(-1, self.dim) - 127.5
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    embed_queries = embed_passages

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@dataclass(slots=True)
class Crossings(LeakAudit):
    """What the trials found. A door is a way in with a look or a change: its `trials` counts its uses, `told` the words that it showed and might.

    `forbidden` sums, over the looks, the memories that were there, or had been, and that who looked could not read.
    """

    trials: int = 0
    """Histories from beginning to end."""
    seconds: float = 0.0

    @property
    def independent(self) -> int:
        """Looks of one history hang together."""
        return self.trials

    def __add__(self, other: Crossings) -> Crossings:
        """Return both together: of two processes."""
        none = DoorCount()
        return Crossings(
            min(self.seed, other.seed),
            self.forbidden + other.forbidden,
            {n: self.doors.get(n, none) + other.doors.get(n, none) for n in sorted({*self.doors, *other.doors})},
            Counter(self.operations) + Counter(other.operations),
            [*self.first, *other.first][:_SHOWN],
            self.trials + other.trials,
            max(self.seconds, other.seconds),
        )

    def to_json(self) -> dict[str, Any]:
        uses = {"looks_and_changes": self.total("trials"), "seconds": round(self.seconds, 1)}
        return LeakAudit.to_json(self) | {"trials": self.trials} | uses


def audit_crossings(
    *,
    trials: int,
    ways: Ways,
    seed: int = 0,
    first: int = 0,
    until_fault: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Crossings:
    """Do trials and return what was found. A trial's number and the seed make all its choices.

    Args:
        ways: opens the ways into memory; see `eval.audit.memory_ways` and `service.audit_memory`.
        until_fault: end after the first trial with a fault.
        first: number of the first trial.
        progress: called with (done, total) trials.
    Cost: 0.1 to 0.2 s of one core a trial.
    """
    found, began = Crossings(seed, operations=Counter()), time.perf_counter()
    for start in range(first, first + trials, TRIALS_A_HOME):
        numbers = range(start, min(start + TRIALS_A_HOME, first + trials))
        with _home(numbers, ways) as (stage, opened):
            for number in numbers:
                _Trial(found, stage, opened, Random(f"{seed}:{number}"), number).run()
                found.trials += 1
                if progress:
                    progress(found.trials, trials)
                if until_fault and found.faults:
                    break
        if until_fault and found.faults:
            break
    found.seconds = time.perf_counter() - began
    return found


@contextmanager
def _home(numbers: range, ways: Ways) -> Iterator[tuple[Stage, Mapping[str, Way]]]:
    """Open a new home in which the people of some trials are known."""
    from rag.loremill import Loremill

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="loremill-crossings-")))
        mill = stack.enter_context(Loremill.open(folder / "home", generator="extractive"))
        mill.embedder = Digests()
        stage = Stage(mill, World(), Material(), folder)
        stack.callback(stage.close)
        people = {one.name: one for number in numbers for one in _people(number)}
        roster = {name: {"tenant": one.tenant, "subject": one.subject} for name, one in people.items()}
        (folder / "people.yaml").write_text(json.dumps({"principals": roster}), encoding="utf-8")
        mill.directory.import_principals(folder / "people.yaml")
        yield stage, stack.enter_context(ways(mill))


def _people(number: int) -> list[Person]:
    """Return who there is in a trial: equal names in both tenants are different people."""
    subjects = f"user:ann{number}", f"user:bob{number}", f"agent:scout{number}"
    return [
        *(Person(f"halden-{one.replace(':', '-')}", "halden", one) for one in subjects),
        Person(f"rival-user-ann{number}", "rival", subjects[0]),
    ]


class _Trial:
    """One history; see above."""

    def __init__(self, found: Crossings, stage: Stage, ways: Mapping[str, Way], rng: Random, number: int) -> None:
        self._found, self._stage, self._ways, self._rng, self._number = found, stage, ways, rng, number
        self._step = 0

    def run(self) -> None:
        """Do it, and leave nothing that all of the tenant could read."""
        people, teams = _people(self._number), [f"group:{name}{self._number}" for name in ("red", "blue")]
        self._stage.world = World(people=people)
        self._stage.material = replace(
            Material(), subjects=tuple(one.subject for one in people[:3]), groups=tuple(teams)
        )
        self._stage.held = {one.name: self._stage.mill.directory.resolve(one.name) for one in people}
        for one in people:
            for team in teams:
                if self._rng.random() < 0.5:
                    self._stage.change_member(one.tenant, one.subject, team)
            if self._rng.random() < 0.3:
                self._by_some_way("grant", one)
        for one in people:
            self._by_some_way("remember", one)
        for self._step in range(STEPS):
            self._change()
            for one in people:
                self._look(one)
        self._clear(people)

    def _change(self) -> None:
        person = self._rng.choice(self._stage.world.people)
        able = {name: kind for name, kind in _KINDS.items() if any(way.has(kind[1]) for way in self._ways.values())}
        name = self._rng.choices(list(able), [weight for _, _, weight in able.values()])[0]
        self._by_some_way(name, person)
        if self._rng.random() < 0.4:  # else facts come while others look
            self._stage.derived()

    def _by_some_way(self, name: str, person: Person) -> None:
        change, needed, _ = _KINDS[name]
        way_name, way = self._some_way(needed)
        self._found.operations[name] += 1
        self._do(f"{way_name} {name}", person, lambda trial: change(way.enter, trial))

    def _look(self, person: Person) -> None:
        way_name, way = self._some_way(frozenset())
        names = [name for name, (_, needed, _) in LOOKS.items() if way.has(needed)]
        name = self._rng.choices(names, [LOOKS[one][2] for one in names])[0]
        look = LOOKS[name][0]
        self._do(f"{way_name} {name}", person, lambda trial: look(way.enter, trial, way.most))

    def _some_way(self, needed: frozenset[str]) -> tuple[str, Way]:
        able = {name: way for name, way in self._ways.items() if way.has(needed)}
        name = self._rng.choices(list(able), [way.weight for way in able.values()])[0]
        return name, able[name]

    def _do(self, door: str, person: Person, action: Callable[[Trial], None]) -> None:
        """Let somebody do something, and count what came of it."""
        count = self._found.doors.setdefault(door, DoorCount())
        trial = Trial(self._stage, person, "", self._rng)
        readable = len(trial.world.recalled(person))
        self._found.forbidden += len(trial.world.memories) + len(trial.world.forgotten) - readable
        began, error = time.perf_counter(), ""
        try:
            action(trial)
        except Exception as raised:  # what cannot be judged counts against
            error = f"{type(raised).__name__}: {raised}"
        count.trials += 1
        count.seconds += time.perf_counter() - began
        count.told += trial.told
        count.leaks += bool(trial.betrayed)
        count.wrong += bool(trial.wrong)
        count.errors += bool(error)
        what = {"crossed": sorted(trial.betrayed), "wrong": trial.wrong, "error": error}
        if any(what.values()):
            where = {"trial": self._number, "step": self._step, "door": door, "person": person.name}
            self._found.fault(**where, **{name: value for name, value in what.items() if value})

    def _clear(self, people: Sequence[Person]) -> None:
        memory = self._stage.mill.memory
        for one in {person.tenant: person for person in people}.values():
            if any((each.tenant, each.scope) == (one.tenant, "tenant") for each in self._stage.world.memories.values()):
                memory.grant("tenant", one.subject, tenant=one.tenant)
                memory.forget(principal=self._stage.held[one.name], scope="tenant")
                memory.grant("tenant", one.subject, tenant=one.tenant, revoke=True)
