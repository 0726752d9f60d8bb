"""Cuts iterables into batches (itertools.batched, which Python 3.11 lacks)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

SQL_VARIABLES = 500
"""How many values one SQL `IN` takes here; SQLite's limit is far above."""


def batched(items: Iterable[T], size: int = SQL_VARIABLES) -> Iterator[list[T]]:
    """Yield lists of `size` items in order; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
