"""`loremill audit memory`: does anything cross a scope of memory, in homes of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from itertools import pairwise
from multiprocessing import get_context
from operator import add
from typing import TYPE_CHECKING, Annotated

import typer

from service import render
from service.console import Home, Json, emit

if TYPE_CHECKING:
    from eval.audit.crossings import Crossings


def memory(
    trials: Annotated[int, typer.Option("--trials", min=1, help="Histories to try.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same choices.")] = 0,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="So many at once.")] = 1,
    home: Home = None,
    json: Json = False,
) -> None:
    """Try to make memory cross a scope: random histories through every way in, each look compared with plain rules.

    It runs in temporary homes; yours is not touched. Exit code 1 if anything crossed, was missing or broke.
    """
    alone = processes == 1
    found = _tried(0, trials, seed, progress=_lines) if alone else reduce(add, _by_many(trials, seed, processes))
    emit(found.to_json(), as_json=json, human=render.crossings)
    if not found.ok:
        raise typer.Exit(1)


def _by_many(trials: int, seed: int, processes: int) -> list[Crossings]:
    """Share the trials out among processes; their numbers and choices stay the same."""
    starts = [trials * part // processes for part in range(processes + 1)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(_tried, first, last - first, seed) for first, last in pairwise(starts) if last > first]
        return [part.result() for part in parts]


def _tried(first: int, trials: int, seed: int, progress: Callable[[int, int], None] | None = None) -> Crossings:
    from eval.audit.crossings import audit_crossings
    from service.audit_memory import memory_ways

    return audit_crossings(first=first, trials=trials, ways=memory_ways, seed=seed, progress=progress)


def _lines(done: int, total: int) -> None:
    """Say on stderr, now and then, how far it is."""
    if done == total or done % 1000 == 0:
        print(f"{done} of {total} trials", file=sys.stderr)
