"""Lexical indexes behind one protocol, as `indexes.vectors` has it for vectors."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.errors import ConfigError
from indexes.forward import K1, B
from indexes.lexical import ANALYSIS, LexicalRow
from indexes.vectors import RowScores, VectorOptions


class LexicalSearch(Protocol):
    """One build's postings. How rare a term is, is counted among the readable rows: see `indexes.lexical`."""

    def __len__(self) -> int: ...

    def assign_classes(self, classes: Int32Vector) -> None:
        """Tell each row's ACL class. Called at opening and whenever the policy changes."""

    def search(self, query: str, *, top_k: int, access: AccessFilter, where: BoolVector | None = None) -> RowScores:
        """Return the `top_k` best readable rows that share a term with `query`, best first; ties by ascending row."""

    def scores(self, query: str, rows: npt.NDArray[np.int64], *, access: AccessFilter) -> npt.NDArray[np.float32]:
        """Return the scores of the given rows, as `search` gives them, 0 where no term is shared. `access` must cover the rows."""

    def term_scores(
        self, query: str, rows: npt.NDArray[np.int64], *, access: AccessFilter, k1: float = K1, b: float = B
    ) -> npt.NDArray[np.float32]:
        """Return what each term of the query adds to the score of each row, shape (terms, rows), or all terms in one line where the
        index cannot tell them apart. `access` must cover the rows; `k1` and `b` hold where the index keeps frequencies.
        """

    def similarity(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return how alike the words of the rows are, shape (rows, rows), in [0, 1]; ConfigError where the index cannot tell."""

    def holds(self, row: int, terms: Iterable[str]) -> bool:
        """Has the row a posting for each of the terms in its text? For `verify`: no rights are asked."""

    def terms(self, text: str) -> list[str]:
        """Return the analysed terms of `text` in order, each once."""


class LexicalBackend(Protocol):
    """What a backend's module offers."""

    def build(self, rows: Iterable[LexicalRow], path: Path) -> None:
        """Write the index of `rows` (row numbers count from 0) into the folder `path`, created if missing."""

    def open(
        self, path: Path, *, row_documents: Int32Vector, built_classes: Int32Vector, analysis: str = ANALYSIS
    ) -> LexicalSearch:
        """Open what `build` wrote.

        Args:
            row_documents: document ordinal of each row.
            built_classes: ACL class of each row when the build was made.
            analysis: the one that it was made with.
        Raises:
            BuildCorrupt: it cannot be read.
        """

    def unavailable(self) -> str:
        """Say why this backend cannot be used here and what to do; empty where it can."""


LEXICAL_BACKENDS = {
    "tantivy": "indexes.lexical:TantivyBackend",
    "qdrant": "indexes.qdrant_sparse:SparseBackend",
}


def lexical_backend(name: str, options: VectorOptions | None = None) -> LexicalBackend:
    """Return the backend called `name`.

    Raises:
        ConfigError: no such backend.
    """
    if name not in LEXICAL_BACKENDS:
        raise ConfigError(f"unknown lexical index {name!r}: choose from {', '.join(sorted(LEXICAL_BACKENDS))}")
    module, _, factory = LEXICAL_BACKENDS[name].partition(":")
    backend: LexicalBackend = getattr(import_module(module), factory)(options or VectorOptions())
    return backend
