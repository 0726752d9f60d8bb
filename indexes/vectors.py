"""Vector indexes behind one protocol. One backend = one file, one line in `BACKENDS`, one extra, the same contract tests."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import ConfigError

RowScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Rows and their scores, best first; equal scores by ascending row."""


class VectorIndex(Protocol):
    """An immutable index over the rows 0..n-1 of one build."""

    dim: int

    def __len__(self) -> int: ...

    def assign_classes(self, classes: Int32Vector) -> None:
        """Tell each row's ACL class. Called at opening and whenever the policy changes; moves no vector."""

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[RowScores]:
        """Return the `top_k` best readable rows for each query, best first.

        Args:
            queries: float32, shape (n_queries, dim), rows of unit length.
            top_k: rows wanted per query, at least 1; fewer come back only where fewer pass the filters.
            access: what the principal may read; applied inside the search, never after it.
            where: rows that pass a metadata filter, ANDed with `access`; None means all.
        Returns:
            n_queries pairs (rows, scores), by descending inner product in [-1, 1]; ties by ascending row.
        Raises:
            DimensionMismatch: `queries.shape[1] != self.dim`.
            UnsupportedFilter: the backend cannot apply a filter during the search, or classes were never assigned.
        """

    def scores(self, query: Float32Matrix, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the exact inner products of one query, shape (1, dim), with the given rows."""

    def norms(self) -> npt.NDArray[np.float32]:
        """Return the length of every stored vector, shape (n,); 1 but for rounding, unless the file is damaged."""


class VectorBackend(Protocol):
    """What a backend's module offers: build a file from rows, open it for reading."""

    def build(self, blocks: Iterable[Float32Matrix], dim: int, path: Path) -> None:
        """Write the rows, which come in blocks of shape (any, dim), as the file `path`."""

    def open(self, path: Path) -> VectorIndex: ...


BACKENDS = {
    "faiss": "indexes.faiss:FaissBackend",
}


def vector_backend(name: str) -> VectorBackend:
    """Return the backend called `name`.

    Raises:
        ConfigError: no such backend.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown vector index {name!r}: choose from {', '.join(sorted(BACKENDS))}")
    module, _, factory = BACKENDS[name].partition(":")
    backend: VectorBackend = getattr(import_module(module), factory)()
    return backend
