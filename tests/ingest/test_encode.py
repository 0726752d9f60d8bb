"""A text is encoded once for each embedding space, beside the reading, and what was encoded survives a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexes.arrays import Float32Matrix
from indexes.catalog import Catalog
from indexes.errors import EmbedderError
from indexes.minilm import MiniLM
from indexes.staging import Staging, open_staging
from indexes.tables import staged_embeddings
from ingest import encode
from ingest.embed import embed_hash
from ingest.encode import BackgroundEncoder


class Counting:
    """The real embedder, counting what it encodes; fails at the text `poison`."""

    def __init__(self, real: MiniLM) -> None:
        self.real = real
        self.model_id, self.dim, self.max_tokens = real.model_id, real.dim, real.max_tokens
        self.embed_queries, self.count_tokens = real.embed_queries, real.count_tokens
        self.encoded: list[str] = []
        self.vectors: dict[str, Float32Matrix] = {}

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        if "poison" in texts:
            raise EmbedderError("the device is gone")
        vectors = self.real.embed_passages(texts)
        self.encoded += texts
        self.vectors |= zip(texts, vectors, strict=True)
        return vectors


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="t")
    with open_staging(catalog, tmp_path / "staging.db", "c") as staging:
        yield staging
    catalog.close()


@pytest.fixture
def counting(minilm: MiniLM) -> Counting:
    return Counting(minilm)


def by_hash(*texts: str) -> dict[str, str]:
    return {embed_hash(text): text for text in texts}


def run(staging: Staging, counting: Counting, *offers: dict[str, str]) -> int:
    with BackgroundEncoder(counting, staging, lambda *_: None) as encoder:
        for texts in offers:
            encoder.offer(texts)
        return encoder.finish()


def test_each_text_is_encoded_once_however_often_it_comes(
    staging: Staging, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "WINDOW", 2)
    assert run(staging, counting, by_hash("one", "two"), by_hash("two", "three"), by_hash("one")) == 3
    assert run(staging, counting, by_hash("one", "two", "three")) == 0
    assert sorted(counting.encoded) == ["one", "three", "two"]


def test_vectors_are_kept_bit_for_bit(staging: Staging, counting: Counting) -> None:
    run(staging, counting, by_hash("one", "two"))
    with staging.read() as db:
        kept = {row.text_hash: row.vector for row in db.execute(staged_embeddings.select())}
    for name, text in by_hash("one", "two").items():
        assert np.array_equal(np.frombuffer(kept[name], "<f4"), counting.vectors[text])


def test_the_longest_texts_come_first(staging: Staging, counting: Counting) -> None:
    run(staging, counting, by_hash("a", "bbb", "cc"))
    assert counting.encoded == ["bbb", "cc", "a"]


def test_what_was_encoded_before_a_fault_is_kept(
    staging: Staging, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_SAVED_AT_ONCE", 2)
    texts = by_hash("longest of all", "longer text", "poison", "end")
    with pytest.raises(EmbedderError, match="device is gone"):
        run(staging, counting, texts)
    assert counting.encoded == ["longest of all", "longer text"]
    del texts[embed_hash("poison")]
    assert run(staging, counting, texts) == 1
    assert counting.encoded[2:] == ["end"]


def test_the_next_documents_are_read_while_a_window_is_encoded(
    staging: Staging, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "WINDOW", 1)
    begun, go_on = threading.Event(), threading.Event()
    real = counting.embed_passages

    def slow(texts: Sequence[str]) -> Float32Matrix:
        begun.set()
        assert go_on.wait(60)
        return real(texts)

    monkeypatch.setattr(counting, "embed_passages", slow)
    with BackgroundEncoder(counting, staging, lambda *_: None) as encoder:
        encoder.offer(by_hash("one"))
        assert begun.wait(60), "offering the window did not start the encoder"
        go_on.set()
        encoder.offer(by_hash("two"))
        assert encoder.finish() == 2


def test_progress_counts_what_is_encoded(staging: Staging, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_SAVED_AT_ONCE", 2)
    run(staging, counting, by_hash("known"))
    seen: list[tuple[str, int, int | None]] = []
    with BackgroundEncoder(counting, staging, lambda *step: seen.append(step)) as encoder:
        encoder.offer(by_hash("known", "a", "b", "c"))
        encoder.finish()
    assert seen == [("embed", 2, None), ("embed", 3, None)]
