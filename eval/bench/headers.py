"""Contextual headers: what embedding the title and the heading path with each chunk does to retrieval.

    python -m eval.bench.headers --data data/company --handbook ../shared/data/handbooks/18F/pages --cache vectors

Chunks, lexical index and fusion are the same for every variant; only the embedded texts differ. Handbook: known-item queries out of its own
links (see eval.bench.links), the page that holds the sentence left out of the ranking. Company: its answerable questions, once by
document and once by the passage that holds the evidence. Everything may be read: rights do not depend on headers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from eval import measures
from eval.bench.home import READER, TENANT, need, parser
from eval.bench.links import link_queries
from eval.bench.vectors import KeptVectors
from eval.datasets import read_dataset
from eval.report import table
from eval.significance import paired_bootstrap
from indexes.access import readable_classes
from indexes.arrays import Float32Matrix
from indexes.embedder import Embedder, make_embedder
from indexes.errors import LoremillError
from indexes.fusion import convex
from indexes.lexical import LexicalIndex, LexicalRow, build_lexical
from indexes.settings import load_settings
from indexes.vocabulary import Acl, Chunk, Document
from ingest.chunk import chunk
from ingest.embed import embedding_text
from ingest.parse import parse
from ingest.sources import open_source

DEPTH = 100
VARIANTS: dict[str, Callable[[str, Sequence[str], str], str]] = {
    "none": lambda title, headings, text: text,
    "both": embedding_text,
    "title": lambda title, headings, text: embedding_text(title, (), text),
    "path": lambda title, headings, text: embedding_text("", headings, text),
}
MEASURES: dict[str, measures.Measure] = {
    "ndcg@10": partial(measures.ndcg, k=10),
    "recall@5": partial(measures.recall, k=5),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, the ids that are relevant, and the document to leave out."""

    text: str
    relevant: frozenset[str]
    leave_out: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A set of queries; `unit` names what is ranked for a chunk: its document, or the chunk itself."""

    name: str
    queries: tuple[Query, ...]
    unit: Callable[[Chunk], str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Chunks in reading order with their documents' titles, and the tasks over them."""

    chunks: tuple[Chunk, ...]
    titles: tuple[str, ...]
    tasks: tuple[Task, ...]


def handbook(folder: Path, embedder: Embedder, *, max_tokens: int) -> Corpus:
    """Read the handbook's pages and make the queries of their links."""
    chunks, titles = _read(folder, embedder, max_tokens=max_tokens)
    pages = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.md"))}
    kept = {piece.document_id for piece in chunks}
    links = [query for query in link_queries(pages) if kept.issuperset(query.targets)]
    sentence = [Query(query.text, frozenset(query.targets), query.source) for query in links]
    masked = [Query(query.masked, frozenset(query.targets), query.source) for query in links]
    return Corpus(
        chunks,
        titles,
        (Task("handbook, sentence", tuple(sentence), _document), Task("handbook, masked", tuple(masked), _document)),
    )


def company(folder: Path, embedder: Embedder, *, max_tokens: int) -> Corpus:
    """Read the sample company; a passage is relevant if it holds a quote of the evidence."""
    chunks, titles = _read(folder, embedder, max_tokens=max_tokens)
    samples = [sample for sample in read_dataset(folder / "questions.jsonl") if sample.answerable]
    plain = [(piece.chunk_id, " ".join(piece.text.split())) for piece in chunks]
    documents, passages = [], []
    for sample in samples:
        documents.append(Query(sample.user_input, frozenset(sample.reference_document_ids)))
        quotes = [" ".join(quote.split()) for quote in sample.reference_contexts]
        holding = frozenset(name for name, text in plain if any(quote in text for quote in quotes))
        if holding:
            passages.append(Query(sample.user_input, holding))
    return Corpus(
        chunks,
        titles,
        (Task("company, documents", tuple(documents), _document), Task("company, passages", tuple(passages), _passage)),
    )


def _document(piece: Chunk) -> str:
    return piece.document_id


def _passage(piece: Chunk) -> str:
    return piece.chunk_id


def _read(folder: Path, embedder: Embedder, *, max_tokens: int) -> tuple[tuple[Chunk, ...], tuple[str, ...]]:
    """Parse and chunk what can be read of a folder; the questions and rules beside the documents are none."""
    chunks: list[Chunk] = []
    titles: list[str] = []
    for item in open_source(folder).items():
        if item.format == "row" or ("/" not in item.path and item.path.endswith(".yaml")):
            continue
        try:
            parsed = parse(item.read(), uri=item.uri, format=item.format)
        except LoremillError:
            continue
        document = Document(item.document_id, item.uri, item.title or parsed.title, parsed.text, item.format)
        found = chunk(document, max_tokens=max_tokens, overlap=0, count_tokens=embedder.count_tokens)
        chunks += found
        titles += [document.title] * len(found)
    return tuple(chunks), tuple(titles)


def rankings(
    corpus: Corpus, task: Task, vectors: Float32Matrix, asked: Float32Matrix, lexical: LexicalIndex
) -> dict[str, list[list[str]]]:
    """Return, for dense and hybrid search, each query's ranked units, fused without their documents' context."""
    access = readable_classes({0: Acl(("everyone",))}, tenant=TENANT, principal=READER)
    ranked: dict[str, list[list[str]]] = {"dense": [], "hybrid": []}
    for query, cosines in zip(task.queries, asked @ vectors.T, strict=True):
        out = [row for row, piece in enumerate(corpus.chunks) if piece.document_id == query.leave_out]
        depth = DEPTH + len(out)
        dense = np.argsort(-cosines, kind="stable")[:depth]
        words, _ = lexical.search(query.text, top_k=depth, access=access)
        rows = np.union1d(dense, words).astype(np.int64)
        fused = convex(cosines[rows], lexical.scores(query.text, rows, access=access))
        for mode, order in (("dense", dense), ("hybrid", rows[np.lexsort((rows, -fused))])):
            hits = [row for row in order.tolist() if row not in set(out)]
            ranked[mode].append(list(dict.fromkeys(task.unit(corpus.chunks[row]) for row in hits)))
    return ranked


def evaluate(corpus: Corpus, kept: KeptVectors, folder: Path) -> list[tuple[object, ...]]:
    """Return a row for each task, mode, measure and variant: its mean and its paired difference from no header."""
    build_lexical(
        (
            LexicalRow(0, 0, "\n".join((title, *piece.headings)), piece.text)
            for piece, title in zip(corpus.chunks, corpus.titles, strict=True)
        ),
        folder,
    )
    same = np.zeros(len(corpus.chunks), np.int32)
    lexical = LexicalIndex(folder, row_documents=same, built_classes=same)
    lexical.assign_classes(same)
    rows: list[tuple[object, ...]] = []
    vectors = {
        name: kept.passages(
            [text(title, piece.headings, piece.text) for piece, title in zip(corpus.chunks, corpus.titles, strict=True)]
        )
        for name, text in VARIANTS.items()
    }
    for task in corpus.tasks:
        asked = kept.queries([query.text for query in task.queries])
        ranked = {name: rankings(corpus, task, found, asked, lexical) for name, found in vectors.items()}
        for mode in ("dense", "hybrid"):
            for measure in MEASURES:
                scores = {name: _scores(task, measure, lists[mode]) for name, lists in ranked.items()}
                bare = scores["none"]
                rows += [
                    (task.name, len(task.queries), mode, measure, name, fmean(values), paired_bootstrap(bare, values))
                    for name, values in scores.items()
                ]
    return rows


def _scores(task: Task, measure: str, ranked: Sequence[Sequence[str]]) -> list[float]:
    judge = MEASURES[measure]
    return [judge(dict.fromkeys(query.relevant, 1), found) for query, found in zip(task.queries, ranked, strict=True)]


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--handbook", type=Path, default=Path("../shared/data/handbooks/18F/pages"))
    arguments.add_argument("--cache", type=Path, help="keep vectors and model here (default: a temporary folder)")
    given = arguments.parse_args()
    need(given.data, "questions.jsonl")
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary:
        cache = given.cache or Path(temporary)
        settings = load_settings(home=cache)
        embedder = make_embedder(settings, home=cache)
        kept = KeptVectors(embedder, cache)
        corpora = [company(given.data, embedder, max_tokens=settings.chunk_tokens)]
        if given.handbook.is_dir():
            corpora.append(handbook(given.handbook, embedder, max_tokens=settings.chunk_tokens))
        columns = ("task", "queries", "mode", "measure", "header", "mean", "difference from none")
        for number, corpus in enumerate(corpora):
            print(table(columns, evaluate(corpus, kept, Path(temporary) / str(number))), flush=True)


if __name__ == "__main__":
    main()
