"""The ablation bench judges rankings as its sets say, and compares every variant with the default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.bench.ablation import VARIANTS, Variant, ablate, prepare, read_with, search, without_stop_words
from eval.bench.ablation_sets import _covers, _touches, subjects
from eval.bench.vectors import KeptVectors
from indexes.minilm import MiniLM
from indexes.search import FusionSettings
from indexes.vocabulary import Chunk

CORPUS = {
    "leave": "Parental leave lasts twenty weeks and may be split in two parts.",
    "travel": "Travel is booked with the agency and paid by card.",
    "pump": "The pump runs at forty bar and its seal is changed each year.",
}
ASKED = {
    "1": ("how long is parental leave", "leave"),
    "2": ("who books travel", "travel"),
    "3": ("seal of the pump", "pump"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "scifact"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": name, "title": name.title(), "text": text} for name, text in CORPUS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    queries = [{"_id": name, "text": text} for name, (text, _) in ASKED.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    lines = "".join(f"{name}\t{document}\t1\n" for name, (_, document) in ASKED.items())
    for split in ("train", "test"):
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return tmp_path / "data"


def piece(start: int, end: int, document: str = "a") -> Chunk:
    return Chunk(document, start, start, end, "x" * (end - start))


def test_excerpts_are_judged_by_the_first_five_chunks_of_their_own_text() -> None:
    gold = [(0, 10), (90, 100)]
    found = [piece(0, 5), piece(90, 100, "b"), piece(5, 20), piece(40, 50), piece(60, 70), piece(90, 100)]
    assert _covers("a", gold)(found) == 0.5
    assert _touches("a", gold)(found) == 0.5
    assert _covers("a", gold)(found[1:]) == pytest.approx(15 / 20)
    assert _touches("a", gold)(found[1:]) == 1.0


def test_stop_words_leave_a_query_and_nothing_else() -> None:
    assert without_stop_words("Is the kiln not in use, and will it be?") == "kiln use,"


def test_every_variant_is_compared_with_the_default_on_the_sets_that_are_there(
    data: Path, minilm: MiniLM, tmp_path: Path
) -> None:
    sets = list(subjects(data, tmp_path / "no company", minilm, max_tokens=64))
    assert [(subject.name, len(subject.queries)) for subject in sets] == [("scifact, train", 3), ("scifact, test", 3)]
    assert not list(subjects(data, tmp_path / "no company", minilm, max_tokens=64, only=["squad"]))
    prepared = prepare(sets[0], KeptVectors(minilm, tmp_path / "kept"), tmp_path / "builds")
    rows = ablate(prepared, VARIANTS)
    assert [row[3] for row in rows] == list(VARIANTS)
    assert rows[0][:5] == ("scifact, train", 3, "nDCG@10", "default", 1.0)
    assert rows[0][5] == ""
    assert str(rows[1][5]) == "+0.000 [+0.000, +0.000]"
    read = read_with(prepared, "packaged", [2], 2)
    assert [row[1:5] for row in read] == [(2, "nDCG@10", "off", 1.0), (2, "nDCG@10", "packaged, 2 hits", 1.0)]


def test_a_variants_settings_reach_the_search(data: Path, minilm: MiniLM, tmp_path: Path) -> None:
    subject = next(subjects(data, tmp_path, minilm, max_tokens=64))
    prepared = prepare(subject, KeptVectors(minilm, tmp_path / "kept"), tmp_path / "builds")
    one = search(prepared, 0, Variant(FusionSettings(candidates=1)))
    every = search(prepared, 0, Variant())
    assert [found.document_id for found in every][:1] == ["leave"] == [found.document_id for found in one][:1]
    assert len(every) == 3
    assert all(name == "default" or variant != Variant() for name, variant in VARIANTS.items())
