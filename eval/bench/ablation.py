"""Ablation: what each part of a hybrid search is worth, on every set that is there.

    python -m eval.bench.ablation --data ../shared/data --cache vectors

Each variant changes the default in one place and runs through the served search (`indexes.search`) over one build a set. A set that is not
there is left out. A row: the variant's mean, and its paired difference from the default with the 95 % interval.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from eval.bench.ablation_sets import Subject, subjects
from eval.bench.home import READER, TENANT, progress
from eval.bench.vectors import KeptVectors
from eval.measures import latency
from eval.report import table
from eval.significance import paired_bootstrap
from indexes.access import AccessFilter, readable_classes
from indexes.arrays import Float32Matrix
from indexes.builds import Build, BuildConfig, BuildRow, ChunkKey, write_build
from indexes.embedder import make_embedder
from indexes.search import FusionSettings, SearchMode, search_rows
from indexes.settings import load_settings
from indexes.vocabulary import Acl, Chunk
from ingest.embed import embedding_text
from rag.rerank import make_reranker, reranked

TOP_K = 100
"""So that a ranking of documents is as long as it is judged, whatever their chunks."""
STOP_WORDS = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not"),
        *("of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was"),
        *("will", "with"),
    ]
)
"""Lucene's English list."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to search."""

    fusion: FusionSettings = field(default_factory=FusionSettings)
    mode: SearchMode = SearchMode.HYBRID
    rewrite: Callable[[str], str] = str
    """What is done to the words of a query; its vector stays."""
    top_k: int = TOP_K
    """Chunks asked for: never fewer candidates than that are looked at."""


def without_stop_words(query: str) -> str:
    return " ".join(word for word in query.split() if word.lower().strip(".,?!") not in STOP_WORDS)


VARIANTS: Mapping[str, Variant] = {
    "default": Variant(),
    "dense alone": Variant(mode=SearchMode.DENSE),
    "lexical alone": Variant(mode=SearchMode.LEXICAL),
    "no context": Variant(FusionSettings(dense_context=0.0, lexical_context=0.0)),
    "no dense context": Variant(FusionSettings(dense_context=0.0)),
    "no lexical context": Variant(FusionSettings(lexical_context=0.0)),
    "k1 1.2, b .75": Variant(FusionSettings(k1=1.2, b=0.75)),
    "dense weight .6": Variant(FusionSettings(dense_weight=0.6)),
    "dense weight .8": Variant(FusionSettings(dense_weight=0.8)),
    "stop words out of the query": Variant(rewrite=without_stop_words),
    "none of these, weight .7": Variant(
        FusionSettings(dense_weight=0.7, dense_context=0.0, lexical_context=0.0, k1=1.2, b=0.75),
        rewrite=without_stop_words,
    ),
    "50 candidates": Variant(FusionSettings(candidates=50), top_k=50),
    "30 candidates": Variant(FusionSettings(candidates=30), top_k=30),
    "diversity .1": Variant(FusionSettings(diversity=0.1)),
    "diversity .3": Variant(FusionSettings(diversity=0.3)),
}


@dataclass(frozen=True)
class Listed:
    """The `indexes.builds.Corpus` of a set: every chunk readable."""

    subject: Subject
    matrix: Float32Matrix

    def document_ids(self) -> list[str]:
        return sorted({piece.document_id for piece in self.subject.chunks})

    def keys(self) -> Iterator[ChunkKey]:
        return (ChunkKey(piece.chunk_id, piece.document_id, "") for piece in self.subject.chunks)

    def rows(self) -> Iterator[BuildRow]:
        for piece, title in zip(self.subject.chunks, self.subject.titles, strict=True):
            place = " ".join(dict.fromkeys((title, *piece.headings)))
            yield BuildRow(piece.chunk_id, piece.document_id, 0, place, piece.text)

    def vectors(self) -> Iterator[bytes]:
        return (row.astype("<f4").tobytes() for row in self.matrix)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A set with its build and the vectors of its queries."""

    subject: Subject
    build: Build
    asked: Float32Matrix
    access: AccessFilter


def prepare(subject: Subject, kept: KeptVectors, folder: Path) -> Prepared:
    """Embed the set's texts, or take them from `kept`, and build the indexes in `folder`."""
    texts = [
        embedding_text(title, piece.headings, piece.text)
        for piece, title in zip(subject.chunks, subject.titles, strict=True)
    ]
    vectors = kept.passages(texts)
    corpus = Listed(subject, vectors)
    manifest = write_build(folder, corpus, config=BuildConfig("bench", vectors.shape[1], subject.corpus, "faiss"))
    build = Build(folder / manifest.build_id)
    build.carry_rights(lambda _: dict.fromkeys(corpus.document_ids(), 0), epoch=1)
    access = readable_classes({0: Acl(("everyone",))}, tenant=TENANT, principal=READER)
    return Prepared(subject, build, kept.queries([query.text for query in subject.queries]), access)


def search(prepared: Prepared, number: int, variant: Variant, *, rerank: str = "off") -> list[Chunk]:
    """Return the chunks found for one query, best first, without the document that it is taken from."""
    subject, query = prepared.subject, prepared.subject.queries[number]
    found = search_rows(
        prepared.build, variant.rewrite(query.text), vector=prepared.asked[number : number + 1], top_k=variant.top_k,
        mode=variant.mode, access=prepared.access, fusion=variant.fusion,
    )  # fmt: skip
    rows, scores = found.rows, found.scores
    if rerank != "off":
        first = [subject.chunks[row] for row in rows[: variant.fusion.rerank_depth]]
        titles = [subject.titles[row] for row in rows[: variant.fusion.rerank_depth]]
        texts = [embedding_text(title, one.headings, one.text) for title, one in zip(titles, first, strict=True)]
        order, _ = reranked(scores, make_reranker(rerank).scores(query.text, texts))
        rows = rows[order]
    return [subject.chunks[row] for row in rows if subject.chunks[row].document_id != query.leave_out]


def measure(prepared: Prepared, variant: Variant, *, rerank: str = "off") -> list[float]:
    """Return each query's score."""
    queries = prepared.subject.queries
    return [query.judge(search(prepared, number, variant, rerank=rerank)) for number, query in enumerate(queries)]


def ablate(prepared: Prepared, variants: Mapping[str, Variant]) -> list[tuple[object, ...]]:
    """Return a row for each variant, the first of which is what the others are compared with."""
    rows: list[tuple[object, ...]] = []
    default: Sequence[float] = ()
    for name, variant in variants.items():
        values = measure(prepared, variant)
        default = default or values
        difference = paired_bootstrap(default, values) if rows else ""
        subject = prepared.subject
        rows.append((subject.name, len(values), subject.measure, name, round(fmean(values), 4), difference))
        progress(len(rows), len(variants))
    return rows


def read_with(prepared: Prepared, rerank: str, depths: Sequence[int], n: int) -> list[tuple[object, ...]]:
    """Return a row for the default and for each depth of reranking over the first `n` queries, with its time a query."""
    subject = Subject(
        prepared.subject.name, prepared.subject.corpus, prepared.subject.measure, prepared.subject.chunks,
        prepared.subject.titles, prepared.subject.queries[:n],
    )  # fmt: skip
    some = Prepared(subject, prepared.build, prepared.asked, prepared.access)
    default = measure(some, Variant())
    rows: list[tuple[object, ...]] = [
        (subject.name, len(default), subject.measure, "off", round(fmean(default), 4), "", "")
    ]
    for depth in depths:
        values, took = [], []
        for number, query in enumerate(subject.queries):
            started = time.perf_counter()
            found = search(some, number, Variant(FusionSettings(rerank_depth=depth)), rerank=rerank)
            took.append((time.perf_counter() - started) * 1e3)
            values.append(query.judge(found))
            progress(number + 1, len(subject.queries))
        difference = paired_bootstrap(default, values)
        label = f"{rerank}, {depth} hits"
        rows.append(
            (
                subject.name,
                len(values),
                subject.measure,
                label,
                round(fmean(values), 4),
                difference,
                round(latency(took)["p50"]),
            )
        )
    return rows


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public sets")
    arguments.add_argument("--company", type=Path, default=Path("data/company"))
    arguments.add_argument("--cache", type=Path, help="keep vectors and model here (default: a temporary folder)")
    arguments.add_argument("--only", nargs="+", help="names of sets, by their beginnings")
    arguments.add_argument(
        "--rerank", metavar="MODEL", help="measure a reranker instead: packaged, or a name or folder"
    )
    arguments.add_argument("--depths", type=int, nargs="+", default=[20, 50])
    arguments.add_argument("--queries", type=int, default=10**9, help="queries of each set that the reranker reads for")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary:
        cache = given.cache or Path(temporary)
        settings = load_settings(home=cache)
        embedder = make_embedder(settings, home=cache)
        kept = KeptVectors(embedder, cache)
        for subject in subjects(given.data, given.company, embedder, max_tokens=settings.chunk_tokens, only=given.only):
            prepared = prepare(subject, kept, Path(temporary) / "builds")
            columns: tuple[str, ...] = ("set", "queries", "measure", "variant", "mean", "difference from default")
            if given.rerank:
                rows = read_with(prepared, given.rerank, given.depths, given.queries)
                columns = (*columns, "ms a query")
            else:
                rows = ablate(prepared, VARIANTS)
            print(table(columns, rows), flush=True)


if __name__ == "__main__":
    main()
