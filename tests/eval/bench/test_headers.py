"""The header bench: variants differ in what is embedded only, and the page that asks is left out of its own ranking."""

from __future__ import annotations

import json
from pathlib import Path

from eval.bench.headers import VARIANTS, company, evaluate, handbook
from eval.bench.vectors import KeptVectors
from indexes.minilm import MiniLM

PAGES = {
    "parental-leave.md": "---\ntitle: Parental leave\n---\nIt lasts twenty weeks and may be split in two parts.",
    "travel.md": "---\ntitle: Travel\n---\nIt is booked with the agency and paid by card.",
    "pump.md": "---\ntitle: Pump HP-220\n---\nIt runs at forty bar and its seal is changed each year.",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_variants_put_title_and_path_before_the_text() -> None:
    shown = {name: text("Leave", ("Rules", "Length"), "It lasts twenty weeks.") for name, text in VARIANTS.items()}
    assert shown["none"] == "It lasts twenty weeks."
    assert shown["title"].startswith("Leave\n\n")
    assert shown["path"].startswith("Rules > Length\n\n")
    assert shown["both"].startswith("Leave > Rules > Length\n\n")


def test_the_title_helps_where_the_text_does_not_name_its_subject(minilm: MiniLM, tmp_path: Path) -> None:
    question = {
        "user_input": "parental leave",
        "reference_contexts": ["It lasts twenty weeks"],
        "reference_document_ids": ["parental-leave.md"],
    }
    folder = write(tmp_path / "docs", {**PAGES, "questions.jsonl": json.dumps(question)})
    corpus = company(folder, minilm, max_tokens=64)
    assert [task.name for task in corpus.tasks] == ["company, documents", "company, passages"]
    assert {piece.document_id for piece in corpus.chunks} == set(PAGES)
    rows = evaluate(corpus, KeptVectors(minilm, tmp_path / "cache"), tmp_path / "lexical")
    means = {row[:5]: row[5] for row in rows}
    assert len(rows) == 2 * 2 * 2 * len(VARIANTS)
    assert means["company, documents", 1, "dense", "ndcg@10", "both"] == 1.0


def test_a_page_never_answers_its_own_sentence(minilm: MiniLM, tmp_path: Path) -> None:
    asking = 'Before you go, read how the whole trip is [booked]({% page "/travel" %}) with the agency.'
    folder = write(tmp_path / "docs", {**PAGES, "going-away.md": f"---\ntitle: Going away\n---\n{asking}"})
    corpus = handbook(folder, minilm, max_tokens=64)
    (query,) = corpus.tasks[0].queries
    assert query.leave_out == "going-away.md"
    rows = evaluate(corpus, KeptVectors(minilm, tmp_path / "cache"), tmp_path / "lexical")
    means = {row[:5]: row[5] for row in rows}
    assert means["handbook, sentence", 1, "dense", "recall@5", "both"] == 1.0
