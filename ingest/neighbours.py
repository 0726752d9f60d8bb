"""From one chunk to those around it: neighbours in reading order, its section, the section above.

Pure functions over one document's chunks. Who expands a hit must filter by access as for the hit itself; all chunks of a document have its ACL.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexes.vocabulary import Chunk


def neighbours(chunks: Sequence[Chunk], ordinal: int, *, before: int = 1, after: int = 1) -> list[Chunk]:
    """Return up to `before` chunks before the one at `ordinal`, itself, and up to `after` behind it, in reading order.

    Args:
        chunks: all chunks of one document, in reading order, as `ingest.chunk` made them.
        ordinal: of the chunk, 0 <= ordinal < len(chunks).
    Raises:
        IndexError: there is no such chunk.
    """
    _check(chunks, ordinal)
    return list(chunks[max(0, ordinal - before) : ordinal + 1 + after])


def section_of(chunks: Sequence[Chunk], ordinal: int, *, levels_up: int = 0) -> list[Chunk]:
    """Return the unbroken run of chunks that stand in the same section, in reading order, the chunk itself among them.

    Args:
        chunks: all chunks of one document, in reading order, as `ingest.chunk` made them.
        ordinal: of the chunk, 0 <= ordinal < len(chunks).
        levels_up: 0 is what stands under the chunk's own heading, its subsections left out; 1 is the parent section with all below it, and so
            on; the whole document where the path is not that long.
    Raises:
        IndexError: there is no such chunk.
    Cost: linear in the section.
    """
    _check(chunks, ordinal)
    own = section_path(chunks[ordinal])
    prefix = own[: max(0, len(own) - levels_up)]

    def inside(other: Chunk) -> bool:
        path = section_path(other)
        return path[: len(prefix)] == prefix if levels_up else path == own

    first = last = ordinal
    while first > 0 and inside(chunks[first - 1]):
        first -= 1
    while last + 1 < len(chunks) and inside(chunks[last + 1]):
        last += 1
    return list(chunks[first : last + 1])


def section_path(piece: Chunk) -> tuple[str, ...]:
    """Return the chunk's heading path without the header row that a later part of a long table carries as its last entry."""
    headings = piece.headings
    return headings[:-1] if headings and " | " in headings[-1] and "\n" not in headings[-1] else headings


def _check(chunks: Sequence[Chunk], ordinal: int) -> None:
    if not 0 <= ordinal < len(chunks):
        raise IndexError(f"no chunk {ordinal} in a document of {len(chunks)}")
