"""The pipeline of the CUDA encoder, run on the CPU: the same steps, the same rows as sentence-transformers'."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from indexes.minilm import MiniLM
from indexes.sentence_transformers import document_prompt
from indexes.torch_encoder import TorchEncoder, halved

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="the extra `embed` is not installed")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")

TEXTS = ["", "parental leave", "word " * 300, *(f"filler number {number} " * (number % 7) for number in range(20))]


@pytest.fixture(scope="module")
def model(minilm: MiniLM) -> Any:
    return sentence_transformers.SentenceTransformer(str(minilm._folder), device="cpu")


@pytest.mark.parametrize("budget", [1, 64, 4096])
def test_rows_are_those_of_sentence_transformers_whatever_the_budget(model: Any, budget: int) -> None:
    expected = model.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(TorchEncoder(model, budget=budget).embed(TEXTS), expected, atol=1e-5)


def test_half_precision_is_the_same_embedding_space(model: Any, minilm: MiniLM) -> None:
    """Cosine of at least .9999, the tolerance of the exact setting, so `model_id` does not tell them apart."""
    half = halved(model)
    assert half is not model
    texts = TEXTS[1:8]
    assert (TorchEncoder(half).embed(texts) * minilm.embed_passages(texts)).sum(axis=1).min() >= 0.9999
    assert next(model.parameters()).dtype is torch.float32


def test_a_model_that_half_precision_would_change_keeps_full_precision(model: Any) -> None:
    wide = copy.deepcopy(model)
    for parameter in wide[0].model.embeddings.LayerNorm.parameters():
        parameter.data *= 1e5  # beyond the greatest number of half precision
    assert halved(wide) is wide


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({}, None, ""),
        ({"query": "Q: ", "passage": "P: "}, None, "P: "),
        ({"document": "D: ", "passage": "P: "}, None, "D: "),
        ({"document": None}, None, ""),
        ({"any": "A: "}, "any", "A: "),
    ],
)
def test_the_prompt_before_a_passage_is_the_models(
    model: Any, monkeypatch: pytest.MonkeyPatch, prompts: dict[str, str | None], default: str | None, expected: str
) -> None:
    monkeypatch.setattr(model, "prompts", prompts)
    monkeypatch.setattr(model, "default_prompt_name", default)
    assert document_prompt(model) == expected
