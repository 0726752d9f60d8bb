"""Chunking: how well the top chunks cover gold excerpts, against langchain's RecursiveCharacterTextSplitter.

    python -m eval.bench.chunking --data ../shared/data/chunking_eval --cache vectors

All corpora are searched together, densely and exactly, with one embedder. langchain's splitter counts with the embedder's tokenizer and runs
without overlap and with an overlap of half a chunk. Ours runs without overlap, as ingestion runs it: with chunks no longer than the embedder
reads; `uncapped` is without that limit.

Source: Smith and Troynikov 2024, Evaluating Chunking Strategies for Retrieval; github.com/brandonstarxel/chunking_evaluation.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from eval.bench.home import need, parser
from eval.bench.vectors import KeptVectors
from eval.report import table
from eval.significance import paired_bootstrap
from eval.spans import Span, SpanScores, length, score_spans
from indexes.embedder import make_embedder
from indexes.settings import load_settings
from indexes.vocabulary import Chunk, Document
from ingest.chunk import CountTokens, chunk
from ingest.embed import embedding_text

MEASURES = ("recall", "precision", "iou")
Splitter = Callable[[Document], list[Chunk]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the excerpts of one corpus that answer it."""

    text: str
    corpus: str
    gold: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """What one splitter gave: the chunks' number and mean size, and each question's scores in order."""

    name: str
    n_chunks: int
    mean_tokens: float
    of_questions: tuple[SpanScores, ...]

    def values(self, measure: str) -> list[float]:
        """Return one measure of each question."""
        return [getattr(scores, measure) for scores in self.of_questions]


def read_questions(path: Path) -> list[Question]:
    """Read the benchmark's questions_df.csv: question, references (JSON), corpus_id."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Question(
            row["question"],
            row["corpus_id"],
            tuple((int(part["start_index"]), int(part["end_index"])) for part in json.loads(row["references"])),
        )
        for row in rows
    ]


def ours(max_tokens: int, count_tokens: CountTokens) -> Splitter:
    """Return our chunker without overlap."""
    return lambda document: chunk(document, max_tokens=max_tokens, overlap=0, count_tokens=count_tokens)


def recursive(max_tokens: int, overlap: int, count_tokens: CountTokens) -> Splitter:
    """Return langchain's recursive splitter with its default separators; its chunks are looked up in the text."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=max_tokens, chunk_overlap=overlap, length_function=lambda text: count_tokens([text])[0]
    )

    def split(document: Document) -> list[Chunk]:
        chunks: list[Chunk] = []
        for text in splitter.split_text(document.text):
            start = document.text.index(text, chunks[-1].start + 1 if chunks else 0)
            chunks.append(Chunk(document.document_id, len(chunks), start, start + len(text), text))
        return chunks

    return split


def evaluate(
    name: str,
    split: Splitter,
    documents: Sequence[Document],
    questions: Sequence[Question],
    *,
    vectors: KeptVectors,
    count_tokens: CountTokens,
    top_k: int,
) -> Scores:
    """Split the documents, retrieve the `top_k` chunks for each question and score their spans."""
    chunks = [piece for document in documents for piece in split(document)]
    rows = vectors.passages([embedding_text("", piece.headings, piece.text) for piece in chunks])
    cosines = vectors.queries([question.text for question in questions]) @ rows.T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :top_k]
    scores = []
    for question, found in zip(questions, best.tolist(), strict=True):
        hits = [chunks[row] for row in found]
        here = [(hit.start, hit.end) for hit in hits if hit.document_id == question.corpus]
        elsewhere = length((hit.start, hit.end) for hit in hits if hit.document_id != question.corpus)
        scores.append(score_spans(question.gold, here, elsewhere=elsewhere))
    return Scores(name, len(chunks), fmean(count_tokens([piece.text for piece in chunks])), tuple(scores))


def compare(baselines: Sequence[Scores], candidate: Scores) -> list[tuple[object, ...]]:
    """Return, for each measure and baseline, both means and the candidate's paired difference."""
    rows: list[tuple[object, ...]] = []
    for measure in MEASURES:
        for baseline in baselines:
            one, other = baseline.values(measure), candidate.values(measure)
            rows.append((measure, baseline.name, fmean(one), fmean(other), paired_bootstrap(one, other)))
    return rows


def by_corpus(results: Sequence[Scores], questions: Sequence[Question]) -> list[tuple[object, ...]]:
    """Return a row of means for each corpus and splitter, all corpora first."""
    rows: list[tuple[object, ...]] = []
    for corpus in (None, *dict.fromkeys(question.corpus for question in questions)):
        chosen = [at for at, question in enumerate(questions) if corpus in (None, question.corpus)]
        for scores in results:
            means = [fmean(scores.values(measure)[at] for at in chosen) for measure in MEASURES]
            rows.append((corpus or "all", len(chosen), scores.name, scores.n_chunks, round(scores.mean_tokens), *means))
    return rows


def read_documents(folder: Path) -> list[Document]:
    """Read each corpus as one document, its file name as id; newlines stay as they are, since offsets count them."""
    return [
        Document(path.stem, path.name, "", path.read_bytes().decode("utf-8"), "md")
        for path in sorted(folder.glob("*.md"))
    ]


def measure(data: Path, *, cache: Path, sizes: Sequence[int], top_k: int) -> Mapping[int, list[Scores]]:
    """Return, for each size, the scores of langchain's splitter (no overlap, half) and of ours, ours as served last."""
    embedder = make_embedder(load_settings(home=cache), home=cache)
    vectors = KeptVectors(embedder, cache)
    documents, questions = read_documents(data / "corpora"), read_questions(data / "questions_df.csv")
    count_tokens = embedder.count_tokens
    results: dict[int, list[Scores]] = {}
    for size in sizes:
        splitters = {
            "recursive": recursive(size, 0, count_tokens),
            "recursive, half overlap": recursive(size, size // 2, count_tokens),
            "loremill, uncapped": ours(size, count_tokens),
            "loremill": ours(min(size, embedder.max_tokens), count_tokens),
        }
        results[size] = [
            evaluate(name, split, documents, questions, vectors=vectors, count_tokens=count_tokens, top_k=top_k)
            for name, split in splitters.items()
            if name != "loremill, uncapped" or size > embedder.max_tokens
        ]
    return results


def main() -> None:
    arguments = parser(__doc__, data="../shared/data/chunking_eval")
    arguments.add_argument("--cache", type=Path, help="keep vectors and model here (default: a temporary folder)")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[200, 400], help="most tokens in a chunk")
    arguments.add_argument("--top-k", type=int, default=5)
    given = arguments.parse_args()
    need(given.data, "questions_df.csv")
    questions = read_questions(given.data / "questions_df.csv")
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary:
        results = measure(given.data, cache=given.cache or Path(temporary), sizes=given.sizes, top_k=given.top_k)
    for size, scores in results.items():
        print(f"## Top {given.top_k} chunks of at most {size} tokens, {len(questions)} questions\n")
        print(table(("measure", "baseline", "its mean", "loremill", "difference"), compare(scores[:-1], scores[-1])))
        columns = ("corpus", "questions", "splitter", "chunks", "mean tokens", *MEASURES)
        print(table(columns, by_corpus(scores, questions)))


if __name__ == "__main__":
    main()
