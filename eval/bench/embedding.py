"""The packaged embedder's settings against sentence-transformers' `encode` with its defaults: speed, likeness, retrieval.

    python -m eval.bench.embedding --data ../shared/data/scifact
    python -m eval.bench.embedding --texts 64 --repeats 3 --no-retrieval          # a quick look

All encode the same texts with the same number of threads, in turn and in one process, so that whatever else the machine does meets
all of them; a ratio is the median over the turns of (reference's time / setting's time). Sets that are not there are left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval.bench.home import parser, progress
from eval.jsonl import read_objects
from eval.measures import mean, ndcg
from eval.report import table
from eval.trec import read_qrels, read_queries
from indexes.arrays import Float32Matrix
from indexes.minilm import MiniLM
from indexes.wordpiece import WordPiece

Encode = Callable[[Sequence[str]], Float32Matrix]
COMPANY = Path("data/company")
_WORDS = 140
"""Words of a chunk, about 220 tokens."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One setting on one set of texts."""

    setting: str
    texts_per_s: float
    ratio: float
    mean_cosine: float
    least_cosine: float


def compare(settings: dict[str, Encode], texts: Sequence[str], *, repeats: int) -> list[Speed]:
    """Time each setting on `texts` in turn; the first is the reference. One turn before the clock warms everything up."""
    rows = {name: encode(texts) for name, encode in settings.items()}
    times: dict[str, list[float]] = {name: [] for name in settings}
    for turn in range(repeats):
        for name in list(settings)[:: 1 if turn % 2 == 0 else -1]:
            start = time.perf_counter()
            settings[name](texts)
            times[name].append(time.perf_counter() - start)
        progress(turn + 1, repeats)
    reference = next(iter(settings))
    found = []
    for name, taken in times.items():
        ratios = [one / other for one, other in zip(times[reference], taken, strict=True)]
        cosines = (rows[reference] * rows[name]).sum(axis=1)
        found.append(
            Speed(name, len(texts) / median(taken), median(ratios), float(cosines.mean()), float(cosines.min()))
        )
    return found


def tokenizing(embedder: MiniLM, texts: Sequence[str]) -> list[tuple[str, float, str]]:
    """Measure what surrounds encoding: cutting texts into tokens (words unknown, then known), and counting them."""

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    words = WordPiece(embedder._folder / "tokenizer.json", max_tokens=embedder.max_tokens)
    cold, warm = (seconds(lambda: words.tokenize(texts)) for _ in range(2))
    total, encode = sum(words.count(texts)), seconds(lambda: embedder.embed_passages(texts))
    count = seconds(lambda: words.count(texts))
    return [
        ("tokens encoded, thousands a second", total / encode / 1000, ""),
        ("padding", 0.0, "share (only texts of one length share a batch)"),
        ("tokenizing, words unknown", cold / encode, "of encoding's time"),
        ("tokenizing, words known", warm / encode, "of encoding's time"),
        ("tokens counted, words known, thousands a second", total / count / 1000, ""),
    ]


def retrieval(embedder: MiniLM, data: Path, split: str) -> float:
    """Return nDCG@10 of exact dense search over `data`/corpus.jsonl, a document a vector (title, text)."""
    documents = [
        (str(row["_id"]), f"{row['title']}\n\n{row['text']}") for _, row in read_objects(data / "corpus.jsonl")
    ]
    qrels, queries = read_qrels(data / "qrels" / f"{split}.tsv"), read_queries(data / "queries.jsonl")
    vectors = np.vstack(list(_embedded(embedder, [text for _, text in documents])))
    asked = embedder.embed_queries([queries[name] for name in qrels])
    best = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :10]
    run = {name: [documents[row][0] for row in rows] for name, rows in zip(qrels, best, strict=True)}
    return mean(lambda judged, ranked: ndcg(judged, ranked, k=10), qrels, run)


def _embedded(embedder: MiniLM, texts: Sequence[str]) -> Iterator[Float32Matrix]:
    for at in range(0, len(texts), 1024):
        yield embedder.embed_passages(texts[at : at + 1024])
        progress(min(at + 1024, len(texts)), len(texts))


def chunks(texts: Sequence[str], n: int) -> list[str]:
    """Return `n` pieces of about `_WORDS` words, spread evenly over the texts."""
    pieces = [
        " ".join(words[at : at + _WORDS]) for words in map(str.split, texts) for at in range(0, len(words), _WORDS)
    ]
    return pieces[:: max(len(pieces) // n, 1)][:n]


def sets_of_texts(data: Path, n: int) -> dict[str, list[str]]:
    """Return those sets that are there: SciFact's abstracts whole and in chunks, the company's chunks."""
    found: dict[str, list[str]] = {}
    if (data / "corpus.jsonl").is_file():
        texts = [f"{row['title']}\n\n{row['text']}" for _, row in read_objects(data / "corpus.jsonl")]
        found["SciFact abstracts"] = texts[:: max(len(texts) // n, 1)][:n]
        found["SciFact chunks"] = chunks(texts, n)
    if COMPANY.is_dir():
        found["company chunks"] = chunks([path.read_text("utf-8") for path in sorted(COMPANY.rglob("*.md"))], n)
    return found


def reference(folder: Path, threads: int) -> Encode:
    """Return sentence-transformers' `encode` of the same weights with its defaults."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model: Any = SentenceTransformer(str(folder), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False), np.float32)


def measure(given: argparse.Namespace, cache: Path) -> None:
    """Print every table."""
    settings = {name: MiniLM(cache=cache, threads=given.threads, device="cpu", fast="fast" in name) for name in NAMES}
    encoders = {"sentence-transformers": reference(settings[NAMES[0]]._folder, given.threads)}
    encoders |= {name: embedder.embed_passages for name, embedder in settings.items()}
    print(f"{given.threads} threads, {given.texts} texts a set, {given.repeats} turns, load {os.getloadavg()[0]:.1f}\n")
    header = ("setting", "texts/s", "ratio", "mean cosine", "least cosine")
    for name, texts in sets_of_texts(given.data, given.texts).items():
        speeds = compare(encoders, texts, repeats=given.repeats)
        rows = [(s.setting, s.texts_per_s, s.ratio, f"{s.mean_cosine:.6f}", f"{s.least_cosine:.6f}") for s in speeds]
        print(f"{name}\n\n{table(header, rows)}\n", flush=True)
        print(table(("minilm", "value", ""), tokenizing(settings[NAMES[0]], texts)), "\n", flush=True)
    if given.retrieval and (given.data / "corpus.jsonl").is_file():
        figures = [(name, retrieval(embedder, given.data, given.split)) for name, embedder in settings.items()]
        print(table(("setting", f"nDCG@10, SciFact {given.split}, dense"), figures))


NAMES = ("minilm", "minilm-fast")


def main() -> None:
    arguments = parser(__doc__, data="../shared/data/scifact")
    arguments.add_argument("--texts", type=int, default=256, help="texts of each set")
    arguments.add_argument("--repeats", type=int, default=5, help="turns")
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--split", choices=("test", "train"), default="test")
    arguments.add_argument("--no-retrieval", dest="retrieval", action="store_false", help="leave nDCG@10 out")
    given = arguments.parse_args()
    if not sets_of_texts(given.data, 1):
        print(f"neither {given.data} nor {COMPANY} is there; name a folder with --data", file=sys.stderr)
        raise SystemExit(65)
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary:
        measure(given, given.home / "models" if given.home else Path(temporary))


if __name__ == "__main__":
    main()
