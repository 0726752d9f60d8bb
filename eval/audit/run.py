"""Runs an audit: operation after operation, trial after trial, and keeps score."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from eval.audit.doors import DOORS
from eval.audit.history import History
from eval.audit.material import Material
from eval.audit.report import DoorCount, LeakAudit
from eval.audit.trial import Door, Trial
from eval.audit.world import World

if TYPE_CHECKING:
    from rag.loremill import Loremill

TRIALS_AN_OPERATION = 18
"""Of requests so many come between two operations, for an operation costs ten times what a request does."""
HISTORY = "history"
"""Stands as a door in the report where an operation itself failed."""


def audit_leaks(
    mill: Loremill,
    *,
    folder: Path,
    trials: int,
    seed: int = 0,
    material: Material | None = None,
    doors: Mapping[str, tuple[Door, float]] = DOORS,
    trials_an_operation: int = TRIALS_AN_OPERATION,
    until_fault: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LeakAudit:
    """Do `trials` trials over a random history and return what was found. The same seed gives the same trials.

    Args:
        mill: over an empty home, which the audit fills.
        folder: an empty one, for the documents.
        material: what documents, people and rights are made of; default made up.
        doors: name -> door and its weight.
        trials_an_operation: trials between two operations, 1 or more.
        until_fault: end at the first fault.
        progress: called with (done, total) trials.
    Cost: about 60 ms of one core a trial by all doors, operations included.
    """
    audit = LeakAudit(seed, doors={name: DoorCount() for name in doors})
    history = History(mill, World(), material or Material(), folder)
    try:
        history.begin(Random(f"{seed}"))
        for step in range(trials):
            rng = Random(f"{seed}:{step}")
            if step % trials_an_operation == trials_an_operation - 1:
                _operate(audit, history, rng, step)
            name = rng.choices(list(doors), [weight for _, weight in doors.values()])[0]
            untried = [door for door in doors if not audit.doors[door].trials]
            if trials - step <= len(untried):  # the last turns are for doors that have had none
                name = untried[0]
            person = rng.choice(history.world.people)
            trial = Trial(history, person, rng.choice(history.collections(person.tenant)), rng)
            _try(audit, name, doors[name][0], trial, step)
            if progress:
                progress(step + 1, trials)
            if until_fault and audit.faults:
                break
    finally:
        history.close()
    return audit


def _operate(audit: LeakAudit, history: History, rng: Random, step: int) -> None:
    try:
        name = history.step(rng)
        audit.operations[name] = audit.operations.get(name, 0) + 1
    except Exception as error:  # what cannot be judged counts against
        audit.doors.setdefault(HISTORY, DoorCount()).errors += 1
        audit.fault(step=step, door=HISTORY, error=f"{type(error).__name__}: {error}")


def _try(audit: LeakAudit, name: str, door: Door, trial: Trial, step: int) -> None:
    count = audit.doors[name]
    count.trials += 1
    audit.forbidden += len(trial.world.forbidden(trial.person))
    began = time.perf_counter()
    error = ""
    try:
        door(trial)
    except Exception as raised:  # a door that breaks was not judged, which counts against
        error = f"{type(raised).__name__}: {raised}"
    count.seconds += time.perf_counter() - began
    count.told += trial.told
    count.leaks += bool(trial.betrayed)
    count.wrong += bool(trial.wrong)
    count.errors += bool(error)
    what = {"leaked": sorted(trial.betrayed), "wrong": trial.wrong, "error": error}
    if any(what.values()):
        where = {"door": name, "person": trial.person.name, "collection": trial.collection}
        audit.fault(step=step, **where, **{key: value for key, value in what.items() if value})
