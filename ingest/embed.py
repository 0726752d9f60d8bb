"""What is embedded of a chunk, and the name it has in the cache."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.vocabulary import digest


def embedding_text(title: str, headings: Sequence[str], text: str) -> str:
    """Return what is embedded for a chunk: where it stands (title, heading path), then its text.

    The header is not part of the chunk's own text: hits and citations never show it.
    """
    path = [part for part in dict.fromkeys((title, *headings)) if part and part not in text[: len(part) + 8]]
    return f"{' > '.join(path)}\n\n{text}" if path else text


def embed_hash(text: str) -> str:
    """Name of an embedding text in the cache."""
    return digest(text)[:32]
