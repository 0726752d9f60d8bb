"""What stands around a chunk: neighbours, section, parent section."""

from __future__ import annotations

import pytest

from indexes.vocabulary import Chunk
from ingest.neighbours import neighbours, section_of

PATHS = [("A",), ("A", "x"), ("A", "x"), ("A", "x", "Item | Price"), ("A", "y"), ("B",), ("A", "x")]
CHUNKS = [Chunk("d", ordinal, ordinal * 10, ordinal * 10 + 9, "text text", path) for ordinal, path in enumerate(PATHS)]


def ordinals(chunks: list[Chunk]) -> list[int]:
    return [piece.ordinal for piece in chunks]


def test_neighbours_end_where_the_document_ends() -> None:
    assert ordinals(neighbours(CHUNKS, 2)) == [1, 2, 3]
    assert ordinals(neighbours(CHUNKS, 0, before=3, after=2)) == [0, 1, 2]
    assert ordinals(neighbours(CHUNKS, 6, before=0)) == [6]


def test_a_section_is_one_unbroken_run_with_the_parts_of_its_tables() -> None:
    assert ordinals(section_of(CHUNKS, 1)) == [1, 2, 3]
    assert ordinals(section_of(CHUNKS, 3)) == [1, 2, 3]
    assert ordinals(section_of(CHUNKS, 6)) == [6]


def test_the_section_above_holds_its_subsections() -> None:
    assert ordinals(section_of(CHUNKS, 2, levels_up=1)) == [0, 1, 2, 3, 4]
    assert ordinals(section_of(CHUNKS, 2, levels_up=5)) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("ordinal", [-1, 7])
def test_a_chunk_that_is_not_there_is_refused(ordinal: int) -> None:
    with pytest.raises(IndexError, match="no chunk"):
        section_of(CHUNKS, ordinal)
    with pytest.raises(IndexError, match="no chunk"):
        neighbours(CHUNKS, ordinal)
