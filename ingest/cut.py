"""Documents into stored chunks: cut, given the text that is embedded of them, and handed to the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from indexes.embedder import Embedder
from indexes.settings import Settings
from indexes.staging import StoredDocument
from ingest.chunk import CHUNKER, chunk_many
from ingest.embed import embed_hash, embedding_text
from ingest.encode import Encoder

HEADER_TOKENS = 24
"""What title and headings take of the embedder's window; more of them push the end of a full chunk out."""


class Cutter:
    """Cuts by the embedder's own tokenizer."""

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        self._embedder = embedder
        self._max_tokens = max(1, min(settings.chunk_tokens, embedder.max_tokens - HEADER_TOKENS))
        self._overlap = settings.chunk_overlap

    @property
    def name(self) -> str:
        """Names how texts are cut: another name means that every text is cut again."""
        return f"{CHUNKER}/{self._max_tokens}/{self._overlap}/{self._embedder.model_id}"

    def cut(self, documents: Sequence[StoredDocument], encoder: Encoder) -> list[StoredDocument]:
        """Return the documents with their chunks, whose texts the encoder has been offered."""
        cut = chunk_many(
            [stored.document for stored in documents],
            max_tokens=self._max_tokens,
            overlap=self._overlap,
            count_tokens=self._embedder.count_tokens,
        )
        texts: dict[str, str] = {}
        done = []
        for stored, chunks in zip(documents, cut, strict=True):
            hashed = []
            for piece in chunks:
                text = embedding_text(stored.document.title, piece.headings, piece.text)
                name = embed_hash(text)
                texts[name] = text
                hashed.append((piece, name))
            done.append(replace(stored, chunks=hashed))
        encoder.offer(texts)
        return done
