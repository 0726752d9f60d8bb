"""A text is encoded once for each embedding space, and what was encoded survives a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexes.arrays import Float32Matrix
from indexes.catalog import Catalog
from indexes.errors import EmbedderError
from indexes.minilm import MiniLM
from ingest import embed
from ingest.embed import cached_hashes, embed_hash, embed_missing, embedding_text, load_vectors


class Counting(MiniLM):
    """The real embedder, counting what it encodes; fails at the text `poison`."""

    def __init__(self, real: MiniLM) -> None:
        self.real = real
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
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="t")
    yield catalog
    catalog.close()


@pytest.fixture
def counting(minilm: MiniLM) -> Counting:
    return Counting(minilm)


def by_hash(*texts: str) -> dict[str, str]:
    return {embed_hash(text): text for text in texts}


def test_each_text_is_encoded_once_however_often_it_comes(catalog: Catalog, counting: Counting) -> None:
    assert embed_missing(catalog, counting, by_hash("one", "two")) == 2
    assert embed_missing(catalog, counting, by_hash("two", "three")) == 1
    assert embed_missing(catalog, counting, by_hash("one", "two", "three")) == 0
    assert sorted(counting.encoded) == ["one", "three", "two"]


def test_vectors_come_back_bit_for_bit_in_the_order_asked_for(catalog: Catalog, counting: Counting) -> None:
    order = ("three", "one", "three", "two")
    embed_missing(catalog, counting, by_hash(*order))
    loaded = load_vectors(catalog, counting, [embed_hash(text) for text in order])
    assert np.array_equal(loaded, np.stack([counting.vectors[text] for text in order]))
    assert load_vectors(catalog, counting, []).shape == (0, 384)


def test_a_vector_that_is_not_cached_is_an_error_and_not_garbage(catalog: Catalog, counting: Counting) -> None:
    with pytest.raises(KeyError):
        load_vectors(catalog, counting, [embed_hash("never seen")])


def test_another_embedding_space_shares_nothing(catalog: Catalog, counting: Counting) -> None:
    embed_missing(catalog, counting, by_hash("one"))
    assert cached_hashes(catalog, counting.model_id, [embed_hash("one")]) == {embed_hash("one")}
    assert cached_hashes(catalog, "another/fp32", [embed_hash("one")]) == set()


def test_what_was_encoded_before_a_fault_is_kept(
    catalog: Catalog, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "_SAVE_EVERY", 2)
    texts = by_hash("longest of all", "longer text", "poison", "end")
    with pytest.raises(EmbedderError, match="device is gone"):
        embed_missing(catalog, counting, texts)
    assert counting.encoded == ["longest of all", "longer text"]
    del texts[embed_hash("poison")]
    assert embed_missing(catalog, counting, texts) == 1
    assert counting.encoded[2:] == ["end"]


def test_progress_counts_what_is_missing(catalog: Catalog, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "_SAVE_EVERY", 2)
    embed_missing(catalog, counting, by_hash("known"))
    seen: list[tuple[str, int, int | None]] = []
    embed_missing(catalog, counting, by_hash("known", "a", "b", "c"), progress=lambda *step: seen.append(step))
    assert seen == [("embed", 2, 3), ("embed", 3, 3)]


@pytest.mark.parametrize(
    ("title", "headings", "text", "embedded"),
    [
        ("Leave", ("Parents", "Weeks"), "20 weeks.", "Leave > Parents > Weeks\n\n20 weeks."),
        ("Leave", ("Leave", "Weeks"), "20 weeks.", "Leave > Weeks\n\n20 weeks."),
        ("Leave", (), "# Leave\n\n20 weeks.", "# Leave\n\n20 weeks."),  # it says so itself
        ("", (), "20 weeks.", "20 weeks."),
    ],
)
def test_a_chunk_is_embedded_with_the_place_it_stands_in(
    title: str, headings: tuple[str, ...], text: str, embedded: str
) -> None:
    assert embedding_text(title, headings, text) == embedded
