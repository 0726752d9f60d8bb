"""Which rows are chunks of the same document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexes.access import Int32Vector

Rows = npt.NDArray[np.int64]

MAX_CHUNKS = 64
"""A document of more chunks is a book: a chunk of it is about something else than most of the others."""


class Siblings:
    """From rows to the other rows of their documents. All rows of a document have its rights and its metadata."""

    def __init__(self, row_documents: Int32Vector) -> None:
        """Cost: one stable sort of the rows' documents."""
        self._row_documents = row_documents
        self._by_document = np.argsort(row_documents, kind="stable").astype(np.int64)
        self._sizes = np.bincount(row_documents) if len(row_documents) else np.zeros(0, np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes

    def around(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the rows with all others of their documents, and which of them belong together.

        Args:
            rows: ascending, each once.
        Returns:
            Rows, ascending, each once; for each a number that it shares with the rows of its document alone. A document of more than
            `MAX_CHUNKS` brings no further rows, and each of its rows stands alone.
        """
        documents = np.unique(self._row_documents[rows])
        small = documents[self._sizes[documents] <= MAX_CHUNKS]
        sizes = self._sizes[small]
        inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found = np.union1d(rows, self._by_document[np.repeat(self._starts[small], sizes) + inside]).astype(np.int64)
        own = self._row_documents[found].astype(np.int64)
        groups = np.where(self._sizes[own] <= MAX_CHUNKS, own, len(self._sizes) + found)
        return found, np.unique(groups, return_inverse=True)[1].astype(np.int64)
