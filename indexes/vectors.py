"""Vector indexes behind one protocol. One backend = one file, one line in `BACKENDS`, one extra, the same contract tests."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt, ConfigError, DimensionMismatch, UnsupportedFilter

if TYPE_CHECKING:
    from indexes.settings import Settings

RowScores = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Rows and their scores, best first; equal scores by ascending row."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one search was done.

    `name` is the backend's word for it, `none` where nothing may be read; `readable` counts the rows that pass both filters,
    `scanned` those whose score was computed in any precision, -1 where the engine does not say.
    """

    name: str
    readable: int
    scanned: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one query: int64 rows and float32 scores, best first, equal scores by ascending row."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    plan: Plan


NOTHING = Found(np.empty(0, np.int64), np.empty(0, np.float32), Plan("none", 0, 0))


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """Where and how a backend runs: nothing that decides what it finds, hence no part of a build's id."""

    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    qdrant_url: str = ""
    qdrant_api_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> VectorOptions:
        """Return what the settings say."""
        return cls(settings.device, settings.qdrant_url, settings.qdrant_api_key)


class VectorIndex(Protocol):
    """An immutable index over the rows 0..n-1 of one build."""

    dim: int

    def __len__(self) -> int: ...

    def assign_classes(self, classes: Int32Vector) -> None:
        """Tell each row's ACL class. Called at opening and whenever the policy changes; moves no vector."""

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """Return the `top_k` best readable rows for each query, best first.

        Args:
            queries: float32, shape (n_queries, dim), rows of unit length.
            top_k: rows wanted per query, at least 1; fewer come back only where fewer pass the filters.
            access: what the principal may read; applied inside the search, never after it.
            where: rows that pass a metadata filter, ANDed with `access`; None means all.
        Returns:
            n_queries answers, by descending inner product in [-1, 1]; ties by ascending row.
        Raises:
            DimensionMismatch: `queries.shape[1] != self.dim`, or `where` is not one flag a row.
            ConfigError: a query holds NaN or infinity.
            UnsupportedFilter: the backend cannot apply a filter during the search, or classes were never assigned.
        """

    def scores(self, query: Float32Matrix, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the exact inner products of one query, shape (1, dim), with the given rows."""

    def norms(self) -> npt.NDArray[np.float32]:
        """Return the length of every stored vector, shape (n,); 1 but for rounding, unless the file is damaged."""


@dataclass(frozen=True, slots=True)
class Base:
    """An index of the same backend that holds many of a new one's rows. Equal rows may be taken over; what differs is found out."""

    path: Path
    rows: npt.NDArray[np.int64]
    """For each new row, its row there, -1 where there is none."""


class VectorBackend(Protocol):
    """What a backend's module offers: build an index from rows, open it for reading."""

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        """Write the rows, which come in blocks of shape (any, dim), as the file or folder `path`.

        Args:
            classes: each row's ACL class now, to lay rows out by; which one it is at a search `assign_classes` tells.
            base: an index to take work over from, where the backend can.
        """

    def open(self, path: Path) -> VectorIndex:
        """Open what `build` wrote.

        Raises:
            BuildCorrupt: it cannot be read.
        """

    def unavailable(self) -> str:
        """Say why this backend cannot be used here and what to do; empty where it can. For `loremill doctor`."""


def check_classes(classes: Int32Vector, rows: int) -> None:
    """Refuse rights that are not one class a row.

    Raises:
        BuildCorrupt: they are for another number of rows.
    """
    if len(classes) != rows:
        raise BuildCorrupt(f"{len(classes)} ACL classes for {rows} rows")


def check_search(
    queries: Float32Matrix, dim: int, classes: Int32Vector | None, where: BoolVector | None
) -> Int32Vector:
    """Refuse what no backend may search with, and return the classes; see `VectorIndex.search` for the errors."""
    if classes is None:
        raise UnsupportedFilter("this index was given no ACL classes, so it cannot tell what may be read")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise DimensionMismatch(f"queries have shape {queries.shape}, the index holds vectors of {dim}")
    if where is not None and where.shape != classes.shape:
        raise DimensionMismatch(f"the metadata mask has shape {where.shape}, the index {len(classes)} rows")
    if not np.isfinite(queries).all():
        raise ConfigError("a query vector holds NaN or infinity, which are near to nothing")
    return classes


BACKENDS = {
    "cuda": "indexes.cuda:CudaBackend",
    "faiss": "indexes.faiss:FaissBackend",
    "qdrant": "indexes.qdrant:QdrantBackend",
    "qdrant-edge": "indexes.qdrant_edge:EdgeBackend",
    "faiss-gpu": "indexes.faiss_gpu:FaissGpuBackend",
}


AUTO = "auto"
"""Chooses a backend when a build is made; the build's configuration holds the one chosen."""


def resolved(name: str, *, vectors: Sized, dim: int, options: VectorOptions) -> str:
    """Return the backend that `name` stands for: `auto` is `cuda` where a device has twice the room that the vectors need, else `faiss`.

    The device's whole memory counts, not what is free just now: the same corpus on the same machine must be the same build.
    """
    if name != AUTO:
        return name
    from indexes.device import cuda_memory

    memory = 0 if options.device == "cpu" else cuda_memory()
    if not memory or 2 * (2 * dim * len(vectors)) > memory:
        return "faiss"
    return "faiss" if vector_backend("cuda", options).unavailable() else "cuda"


def vector_backend(name: str, options: VectorOptions | None = None) -> VectorBackend:
    """Return the backend called `name`.

    Raises:
        ConfigError: no such backend.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown vector index {name!r}: choose from {', '.join(sorted(BACKENDS))}")
    module, _, factory = BACKENDS[name].partition(":")
    backend: VectorBackend = getattr(import_module(module), factory)(options or VectorOptions())
    return backend
