"""An embedder that keeps what it encoded in a file, so that a benchmark repeated over other chunks encodes only new texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eval.bench.home import progress
from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.embedder import Embedder
from indexes.vocabulary import digest

_SAVE_EVERY = 512


class KeptVectors:
    """Wraps an embedder; equal texts are encoded once for each `model_id` and role, in this run and later ones."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        """Open or make `folder`/vectors.sqlite."""
        folder.mkdir(parents=True, exist_ok=True)
        self._embedder = embedder
        self._db = sqlite3.connect(folder / "vectors.sqlite")
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors (name TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def queries(self, texts: Sequence[str]) -> Float32Matrix:
        """Return one unit row a text, shape (n, dim)."""
        return self._rows("query", texts, self._embedder.embed_queries)

    def passages(self, texts: Sequence[str]) -> Float32Matrix:
        """Return one unit row a text, shape (n, dim)."""
        return self._rows("passage", texts, self._embedder.embed_passages)

    def _rows(self, role: str, texts: Sequence[str], embed: Callable[[list[str]], Float32Matrix]) -> Float32Matrix:
        named = {digest(self._embedder.model_id, role, text): text for text in texts}
        have = {name for (name,) in self._db.execute("SELECT name FROM vectors")}
        missing = sorted((name for name in named if name not in have), key=lambda name: -len(named[name]))
        done = 0
        for names in batched(missing, _SAVE_EVERY):
            vectors = embed([named[name] for name in names])
            rows = [(name, row.astype("<f4").tobytes()) for name, row in zip(names, vectors, strict=True)]
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            done += len(names)
            progress(done, len(missing))
        kept = {name: self._vector(name) for name in named}
        return np.array([kept[digest(self._embedder.model_id, role, text)] for text in texts], dtype=np.float32)

    def _vector(self, name: str) -> Float32Matrix:
        (raw,) = self._db.execute("SELECT vector FROM vectors WHERE name = ?", (name,)).fetchone()
        return np.frombuffer(raw, dtype="<f4")
