"""Embedding with a persistent cache: a text is encoded once for each embedding space, whatever chunk, build or run it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.catalog import Catalog
from indexes.embedder import Embedder
from indexes.vocabulary import digest

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total); total is None where it is not known."""

_SAVE_EVERY = 256
"""Texts between two writes of the cache: what a crash can cost."""


def embedding_text(title: str, headings: Sequence[str], text: str) -> str:
    """Return what is embedded for a chunk: where it stands (title, heading path), then its text.

    The header is not part of the chunk's own text: hits and citations never show it.
    """
    path = [part for part in dict.fromkeys((title, *headings)) if part and part not in text[: len(part) + 8]]
    return f"{' > '.join(path)}\n\n{text}" if path else text


def embed_hash(text: str) -> str:
    """Name of an embedding text in the cache."""
    return digest(text)[:32]


def cached_hashes(catalog: Catalog, model_id: str, hashes: Sequence[str]) -> set[str]:
    """Return those of `hashes` that the cache holds a vector of."""
    return {name for name, _ in _lookup(catalog, model_id, hashes, with_vectors=False)}


def embed_missing(
    catalog: Catalog, embedder: Embedder, texts: Mapping[str, str], *, progress: Progress | None = None
) -> int:
    """Encode those of `texts` (by hash) that the cache lacks, longest first, saving as it goes.

    Returns:
        How many were encoded.
    Raises:
        EmbedderError: the embedder failed; what was encoded before stays in the cache.
    """
    have = cached_hashes(catalog, embedder.model_id, list(texts))
    missing = sorted((name for name in texts if name not in have), key=lambda name: (-len(texts[name]), name))
    done = 0
    for names in batched(missing, _SAVE_EVERY):
        vectors = embedder.embed_passages([texts[name] for name in names])
        _save(catalog, embedder.model_id, names, vectors)
        done += len(names)
        if progress is not None:
            progress("embed", done, len(missing))
    return done


def load_vectors(catalog: Catalog, embedder: Embedder, hashes: Sequence[str]) -> Float32Matrix:
    """Return the cached vectors of `hashes`, float32, shape (len(hashes), dim), in their order.

    Raises:
        KeyError: the cache lacks one; `embed_missing` must have run before.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(hashes):
        rows.setdefault(name, []).append(row)
    vectors = np.empty((len(hashes), embedder.dim), dtype=np.float32)
    for name, raw in _lookup(catalog, embedder.model_id, list(rows), with_vectors=True):
        vectors[rows.pop(name)] = np.frombuffer(raw, dtype="<f4")
    if rows:
        raise KeyError(f"{len(rows)} vectors are not in the cache")
    return vectors


def _lookup(
    catalog: Catalog, model_id: str, hashes: Sequence[str], *, with_vectors: bool
) -> Iterator[tuple[str, bytes]]:
    from sqlalchemy import literal, select

    from indexes.tables import embeddings

    value = embeddings.c.vector if with_vectors else literal(b"")
    query = select(embeddings.c.text_hash, value).where(embeddings.c.model_id == model_id)
    with catalog.read() as db:
        for batch in batched(hashes):
            yield from (tuple(row) for row in db.execute(query.where(embeddings.c.text_hash.in_(batch))))


def _save(catalog: Catalog, model_id: str, names: Sequence[str], vectors: Float32Matrix) -> None:
    from sqlalchemy import insert

    from indexes.tables import embeddings

    rows = [
        {"model_id": model_id, "text_hash": name, "vector": vector.astype("<f4").tobytes()}
        for name, vector in zip(names, vectors, strict=True)
    ]
    with catalog.write() as db:
        db.execute(insert(embeddings).prefix_with("OR REPLACE"), rows)
