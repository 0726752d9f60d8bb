"""The sets of the ablation bench, each with one measure: what is searched, what is asked, and how a ranking is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval import measures
from eval.bench import headers
from eval.bench.chunking import ours, read_documents, read_questions
from eval.jsonl import read_objects
from eval.spans import Span, intersect, length, score_spans
from eval.trec import read_qrels, read_queries
from indexes.embedder import Embedder
from indexes.vocabulary import Chunk, Document
from ingest.chunk import chunk_many

Judge = Callable[[Sequence[Chunk]], float]
"""From the chunks found, best first, to a score in [0, 1]."""
TOP = 5


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked and how an answer is judged; chunks of the document `leave_out` are taken out of the ranking."""

    text: str
    judge: Judge
    leave_out: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A set; `chunks` by ascending chunk id, `corpus` names them, so that sets over the same chunks share a build."""

    name: str
    corpus: str
    measure: str
    chunks: tuple[Chunk, ...]
    titles: tuple[str, ...]
    queries: tuple[Query, ...]


def subjects(
    data: Path, company: Path, embedder: Embedder, *, max_tokens: int, only: Sequence[str] | None = None
) -> Iterator[Subject]:
    """Yield the sets that are there, and whose names begin with one of `only`."""
    makers: dict[str, tuple[Path, Callable[[Path, Embedder, int], Iterator[Subject]]]] = {
        "scifact": (data / "scifact", partial(_beir, "scifact", ("train", "test"), "nDCG@10")),
        "squad": (data / "squad_v2", partial(_beir, "squad", ("test",), "recall@5")),
        "chunking": (data / "chunking_eval", _chunking),
        "company": (company, partial(_company, "company")),
        "handbook": (data / "handbooks" / "18F" / "pages", partial(_company, "handbook")),
    }
    for name, (folder, make) in makers.items():
        if folder.is_dir() and (only is None or any(name.startswith(one) for one in only)):
            yield from make(folder, embedder, max_tokens)


def _sorted(chunks: Sequence[Chunk], titles: Sequence[str]) -> tuple[tuple[Chunk, ...], tuple[str, ...]]:
    order = sorted(range(len(chunks)), key=lambda place: chunks[place].chunk_id)
    return tuple(chunks[place] for place in order), tuple(titles[place] for place in order)


def _by_unit(measure: measures.Measure, relevant: dict[str, int], unit: Callable[[Chunk], str]) -> Judge:
    return lambda found: measure(relevant, list(dict.fromkeys(unit(piece) for piece in found)))


def _document(piece: Chunk) -> str:
    return piece.document_id


NDCG: measures.Measure = partial(measures.ndcg, k=10)
MEASURES: dict[str, measures.Measure] = {"nDCG@10": NDCG, "recall@5": partial(measures.recall, k=TOP)}


def _beir(
    name: str, splits: Sequence[str], measure: str, folder: Path, embedder: Embedder, max_tokens: int
) -> Iterator[Subject]:
    documents = [
        Document(str(row["_id"]), str(row["_id"]), row.get("title") or "", row["text"], "row")
        for _, row in read_objects(folder / "corpus.jsonl")
    ]
    titles = {document.document_id: document.title for document in documents}
    split = chunk_many(documents, max_tokens=max_tokens, overlap=0, count_tokens=embedder.count_tokens)
    pieces = [piece for pieces in split for piece in pieces]
    chunks, of_chunks = _sorted(pieces, [titles[piece.document_id] for piece in pieces])
    texts = read_queries(folder / "queries.jsonl")
    for part in splits:
        qrels = read_qrels(folder / "qrels" / f"{part}.tsv")
        queries = [
            Query(texts[one], _by_unit(MEASURES[measure], dict(judged), _document)) for one, judged in qrels.items()
        ]
        yield Subject(f"{name}, {part}", name, measure, chunks, of_chunks, tuple(queries))


def _chunking(folder: Path, embedder: Embedder, max_tokens: int) -> Iterator[Subject]:
    """Two sets: how much of the excerpts the first five chunks hold; of how many of several excerpts they hold anything."""
    split = ours(max_tokens, embedder.count_tokens)
    pieces = [piece for document in read_documents(folder / "corpora") for piece in split(document)]
    chunks, titles = _sorted(pieces, [""] * len(pieces))
    questions = read_questions(folder / "questions_df.csv")
    every = [Query(question.text, _covers(question.corpus, question.gold)) for question in questions]
    several = [question for question in questions if len(question.gold) > 1]
    touched = [Query(question.text, _touches(question.corpus, question.gold)) for question in several]
    yield Subject("chunking_eval", "chunking", "recall@5", chunks, titles, tuple(every))
    yield Subject("chunking_eval, several excerpts", "chunking", "subtopic recall@5", chunks, titles, tuple(touched))


def _spans(found: Sequence[Chunk], corpus: str) -> list[Span]:
    return [(piece.start, piece.end) for piece in found[:TOP] if piece.document_id == corpus]


def _covers(corpus: str, gold: Sequence[Span]) -> Judge:
    return lambda found: score_spans(gold, _spans(found, corpus)).recall


def _touches(corpus: str, gold: Sequence[Span]) -> Judge:
    """Subtopic recall (Zhai, Cohen and Lafferty 2003, Beyond Independent Relevance), an excerpt being a subtopic."""

    def judge(found: Sequence[Chunk]) -> float:
        spans = sorted(_spans(found, corpus))
        return sum(length(intersect([one], spans)) > 0 for one in gold) / len(gold)

    return judge


def _company(name: str, folder: Path, embedder: Embedder, max_tokens: int) -> Iterator[Subject]:
    """The sets of the header bench: the sample company, or a handbook's own links."""
    read = headers.company if name == "company" else headers.handbook
    corpus = read(folder, embedder, max_tokens=max_tokens)
    chunks, titles = _sorted(corpus.chunks, corpus.titles)
    for task in corpus.tasks:
        queries = [
            Query(query.text, _by_unit(NDCG, dict.fromkeys(query.relevant, 1), task.unit), query.leave_out)
            for query in task.queries
        ]
        yield Subject(task.name, name, "nDCG@10", chunks, titles, tuple(queries))
