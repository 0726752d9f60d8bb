"""What the tests of builds share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from indexes.arrays import Float32Matrix
from indexes.builds import BuildRow, ChunkKey


@dataclass
class ListedCorpus:
    """A `Corpus` that lies in memory."""

    chunk_keys: Sequence[ChunkKey]
    matrix: Float32Matrix
    texts: Sequence[tuple[str, str]]
    acl_classes: Mapping[str, int] = field(default_factory=dict)

    def document_ids(self) -> list[str]:
        return sorted({key.document_id for key in self.chunk_keys})

    def keys(self) -> Sequence[ChunkKey]:
        return self.chunk_keys

    def rows(self) -> Iterator[BuildRow]:
        for key, (place, text) in zip(self.chunk_keys, self.texts, strict=True):
            yield BuildRow(key.chunk_id, key.document_id, self.acl_classes.get(key.document_id, -1), place, text)

    def vectors(self) -> Iterator[bytes]:
        yield from (row.astype(np.float32).tobytes() for row in self.matrix)


@pytest.fixture(scope="session")
def listed() -> Callable[..., ListedCorpus]:
    """Makes a corpus of keys, a matrix of vectors, (title, text) pairs and ACL classes by document."""
    return ListedCorpus
