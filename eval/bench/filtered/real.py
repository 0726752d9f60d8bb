"""Real chunks and questions for the filtered search benchmark: public sets, each text with the folder that it came from.

Every text is cut by the product's chunker and embedded with its title and headings, as ingestion does it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.embedder import Embedder
from indexes.vocabulary import Chunk, Document
from ingest.chunk import chunk_many
from ingest.embed import embedding_text

CHUNK_TOKENS = 100
_AT_ONCE = 200
_FOLDERS = ("handbooks/18F/pages", "handbooks/sourcegraph/content/departments", "handbooks/sourcegraph/content")
"""A file belongs to the first that holds it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A document and the department that its place names; empty where its set has no folders."""

    department: str
    document: Document


@dataclass(frozen=True, slots=True)
class Passages:
    """Chunks in reading order, with what is embedded of each and its document's department."""

    chunks: tuple[Chunk, ...]
    embedded: tuple[str, ...]
    departments: tuple[str, ...]


def read_texts(data: Path) -> Iterator[Text]:
    """Read what there is of the sets in `data`: Markdown handbooks and corpora, paragraphs, abstracts, e-mails, tables, conversations."""
    for path in sorted((data / "handbooks").rglob("*.md")):
        name = path.relative_to(data).as_posix()
        if folder := next((folder for folder in _FOLDERS if name.startswith(f"{folder}/")), ""):
            top = name.removeprefix(f"{folder}/").partition("/")[0]
            yield _text(f"{folder}/{top}", name, path.stem, path.read_text("utf-8"))
    for path in sorted((data / "chunking_eval" / "corpora").glob("*.md")):
        yield _text(f"chunking_eval/{path.stem}", path.name, "", path.read_text("utf-8"))
    for name in ("scifact", "squad_v2"):
        for row in _lines(data / name / "corpus.jsonl"):
            yield _text("", f"{name}/{row['_id']}", row["title"], row["text"])
    for row in _lines(data / "ragtruth_qa" / "source_info_train.jsonl"):
        yield _text("", f"ragtruth_qa/{row['source_id']}", "", row["source_info"]["passages"])
    for name in ("bipia/email/train.jsonl", "bipia/table_train.jsonl"):
        for number, row in enumerate(_lines(data / name)):
            yield _text("", f"{name}/{number}", "", row["context"])
    for number, session, turns in _sessions(data):
        text = "\n\n".join(f"{turn['speaker']}: {turn['text']}" for turn in turns)
        yield _text("", f"locomo/{number}/{session}", "", text)


def read_questions(data: Path) -> list[str]:
    """Return the questions of the sets, each once."""
    found = [row["text"] for name in ("scifact", "squad_v2") for row in _lines(data / name / "queries.jsonl")]
    with (data / "chunking_eval" / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        found += [row["question"] for row in csv.DictReader(file)]
    found += [row["source_info"]["question"] for row in _lines(data / "ragtruth_qa" / "source_info_train.jsonl")]
    found += [asked["question"] for item in _locomo(data) for asked in item["qa"]]
    return list(dict.fromkeys(found))


def cut(texts: Sequence[Text], embedder: Embedder) -> Passages:
    """Cut the texts into chunks of at most CHUNK_TOKENS, none of them twice."""
    chunks, embedded, departments = [], [], []
    seen: set[str] = set()
    for first in range(0, len(texts), _AT_ONCE):
        part = texts[first : first + _AT_ONCE]
        cut_part = chunk_many(
            [text.document for text in part], max_tokens=CHUNK_TOKENS, overlap=0, count_tokens=embedder.count_tokens
        )
        for text, pieces in zip(part, cut_part, strict=True):
            for piece in pieces:
                whole = embedding_text(text.document.title, piece.headings, piece.text)
                if whole not in seen:
                    seen.add(whole)
                    chunks.append(piece)
                    embedded.append(whole)
                    departments.append(text.department)
    return Passages(tuple(chunks), tuple(embedded), tuple(departments))


def _text(department: str, name: str, title: str, text: str) -> Text:
    return Text(department, Document(name, f"file:{name}", title, text, "md"))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _locomo(data: Path) -> list[dict[str, Any]]:
    conversations: list[dict[str, Any]] = json.loads((data / "locomo" / "locomo_first5.json").read_text("utf-8"))
    return conversations


def _sessions(data: Path) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    for number, item in enumerate(_locomo(data)):
        for name, turns in item["conversation"].items():
            if isinstance(turns, list):
                yield number, name, turns
