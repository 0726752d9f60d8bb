"""Any sentence-transformers model by name or folder; here the folder of the packaged MiniLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexes.embedder import Embedder, make_embedder
from indexes.errors import EmbedderError
from indexes.minilm import MiniLM
from indexes.settings import load_settings

pytestmark = pytest.mark.slow
pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")


@pytest.fixture(scope="module")
def embedder(minilm: MiniLM, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    settings = load_settings(embedder=str(minilm._folder), device="cpu", threads=1)
    return make_embedder(settings, home=tmp_path_factory.mktemp("home"))


def test_a_folder_is_an_embedder_like_any_other(embedder: Embedder, minilm: MiniLM) -> None:
    texts = ["parental leave", "a much longer passage about travel expenses " * 5, ""]
    vectors = embedder.embed_passages(texts)
    assert vectors.dtype == np.float32
    assert embedder.dim == 384
    assert (vectors * minilm.embed_passages(texts)).sum(axis=1).min() >= 0.99999
    assert embedder.embed_queries([]).shape == (0, 384)


def test_its_tokens_are_counted_as_the_model_counts_them(embedder: Embedder, minilm: MiniLM) -> None:
    texts = ["", "hello world", "word " * 3000]
    assert embedder.count_tokens(texts) == minilm.count_tokens(texts)
    assert embedder.max_tokens == minilm.max_tokens


def test_a_folder_that_holds_no_model_is_an_embedder_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        make_embedder(load_settings(embedder=str(tmp_path), device="cpu"), home=tmp_path)
