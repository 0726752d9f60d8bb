"""A reranker reads the first hits with the query; what it reads is confirmed first, and it is part of the release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import EmbedderError
from rag import Acl, Loremill, Principal
from rag.rerank import SentenceTransformersReranker, make_reranker, reranked

OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]

ALICE = Principal("halden", "user:alice")
QUESTION = "How many weeks is parental leave?"
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\n",
    "weeks.md": "It is twenty weeks for everybody who becomes a parent and stays at home.\n",
    "words.md": "Parental leave: many weeks of parental leave were asked for, and how leave is asked for is parental.\n",
    "kiln.md": "The kiln runs at 900 degrees.\n",
}


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_half_of_a_score_is_what_was_read_and_what_was_not_read_stays_behind() -> None:
    #  found' = 1, .5, 0; read' = 0, 1, .25; halves: .5, .75, .125; behind the least of them: half, a quarter
    order, scores = reranked(vector(0.9, 0.8, 0.7, 0.6, 0.5), vector(-4, 4, -2))
    assert order.tolist() == [1, 0, 2, 3, 4]
    assert scores.tolist() == pytest.approx([0.75, 0.5, 0.125, 0.0625, 0.03125])


def test_equal_scores_keep_their_order() -> None:
    assert reranked(vector(0.5, 0.5, 0.5), vector(1, 1, 1))[0].tolist() == [0, 1, 2]
    assert reranked(vector(), vector())[0].tolist() == []


def test_a_release_with_a_reranker_lets_it_order_hybrid_hits(
    open_mill: OpenMill, tmp_path: Path, write_tree: WriteTree
) -> None:
    docs = write_tree(DOCS)
    plain, reading = open_mill(tmp_path / "plain"), open_mill(tmp_path / "reading", rerank="packaged", rerank_depth=3)
    found = {}
    for name, mill in (("plain", plain), ("reading", reading)):
        mill.ingest(docs, collection="company")
        for mode in ("hybrid", "dense", "lexical"):
            hits = mill.search(QUESTION, collection="company", principal=ALICE, top_k=2, mode=mode)
            found[name, mode] = [(hit.document_id, hit.score) for hit in hits]
    assert reading.releases("company")[0].retrieval["rerank"] == "packaged"
    assert found["reading", "dense"] == found["plain", "dense"]
    assert found["reading", "lexical"] == found["plain", "lexical"]
    assert found["reading", "hybrid"] != found["plain", "hybrid"]
    scores = [score for _, score in found["reading", "hybrid"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2


@pytest.fixture
def reader(open_mill: OpenMill, tmp_path: Path, write_tree: WriteTree) -> Loremill:
    mill = open_mill(tmp_path / "home", rerank="packaged")
    mill.ingest(write_tree(DOCS), collection="company")
    return mill


def test_a_reranker_reads_nothing_that_the_asker_may_not_read(
    reader: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.put_document(
        collection="company", principal=ALICE, document_id="secret", text="Parental leave ends.", acl=Acl(("user:bob",))
    )
    read: list[str] = []
    model = make_reranker("packaged")
    scores = type(model).scores

    def noting(self: object, question: str, texts: list[str], *, readers: str = "") -> np.ndarray:
        read.extend(texts)
        return scores(self, question, texts, readers=readers)  # type: ignore[arg-type]

    monkeypatch.setattr(type(model), "scores", noting)
    for who in ("alice", "bob"):
        read.clear()
        reader.search(QUESTION, collection="company", principal=Principal("halden", f"user:{who}"))
        assert len(read) == (4 if who == "bob" else 3)
        assert any("ends" in text for text in read) == (who == "bob")


def test_another_reranker_is_another_release_over_the_same_build(
    open_mill: OpenMill, tmp_path: Path, write_tree: WriteTree
) -> None:
    docs = write_tree(DOCS)
    first = open_mill(tmp_path / "home").ingest(docs, collection="company")
    second = open_mill(tmp_path / "home", diversity=0.2).ingest(docs, collection="company")
    again = open_mill(tmp_path / "home", diversity=0.2).ingest(docs, collection="company")
    back = open_mill(tmp_path / "home").ingest(docs, collection="company")
    assert first.build == second.build == again.build == back.build
    assert second.release == again.release != first.release == back.release
    assert second.chunks.embedded == 0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CrossEncoder with random weights and a vocabulary of twelve."""
    transformers = pytest.importorskip("transformers", reason="the extra `embed` is not installed")
    torch = pytest.importorskip("torch", reason="the extra `embed` is not installed")
    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "leave", "kiln", "weeks", "is", "how", "many", "the"]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_any_cross_encoder_can_be_named_by_its_folder(tiny: Path) -> None:
    reranker = make_reranker(str(tiny))
    assert isinstance(reranker, SentenceTransformersReranker)
    texts = ["leave is many weeks", "the kiln", "weeks"]
    logits = reranker.scores("how many weeks", texts)
    assert logits.dtype == np.float32
    assert logits.shape == (3,)
    assert reranker.scores("how many weeks", texts[::-1]).tolist() == pytest.approx(logits[::-1].tolist(), rel=1e-4)
    assert len(set(logits.tolist())) == 3


def test_a_reranker_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="nothing-here"):
        make_reranker(str(tmp_path / "nothing-here"))
