"""Near-duplicates: error of the estimate, pairs found and time, on pages of a handbook with some of their words changed.

    python -m eval.bench.duplicates --data ../shared/data/handbooks/18F/pages

Each page of 100 words or more is paired with copies in which 1 in 300 to 1 in 10 of its words are dropped, replaced or
added, with a fixed seed, and with the page after it. A pair is found if its signatures share a band and their
similarity is no less than the threshold; pairs right at it are found about half the time, because the estimate has an
error, so pairs are counted by their exact similarity.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from eval.bench.home import parser
from eval.report import table
from ingest.duplicates import THRESHOLD, bands, candidate_probability, rows, shingles, signature, similarity

RATES = (0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
EDGES = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.95, 1.01)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts: their exact similarity, its estimate, and whether they share a band."""

    exact: float
    estimate: float
    candidate: bool


def pages(folder: Path) -> list[str]:
    """Return the Markdown pages of a folder that have 100 words or more, by path."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))]
    return [text for text in texts if len(text.split()) >= 100]


def perturb(text: str, rate: float, draw: random.Random) -> str:
    """Return the text with about `rate` of its words dropped, replaced by another of its words, or followed by one."""
    words: list[str] = []
    vocabulary = text.split()
    for word in vocabulary:
        if draw.random() >= rate:
            words.append(word)
        else:
            words += draw.choice(([], [draw.choice(vocabulary)], [word, draw.choice(vocabulary)]))
    return " ".join(words)


def compare(one: str, other: str) -> Pair:
    """Compare two texts exactly and by signature."""
    a, b = shingles(one), shingles(other)
    first, second = signature(one), signature(other)
    shared = any(x == y for x, y in zip(bands(first), bands(second), strict=True))
    return Pair(len(a & b) / len(a | b), similarity(first, second), shared)


def pairs(texts: Sequence[str], draw: random.Random) -> Iterator[Pair]:
    """Compare each text with its perturbed copies and with the text after it."""
    for text, after in zip(texts, [*texts[1:], texts[0]], strict=True):
        yield compare(text, after)
        for rate in RATES:
            yield compare(text, perturb(text, rate, draw))


def milliseconds(texts: Sequence[str], *, words: int, repeats: int = 20) -> float:
    """Return the CPU time of a signature and its bands for a text of `words` words, the least mean of `repeats` runs."""
    cut = [" ".join(text.split()[:words]) for text in texts if len(text.split()) >= words]
    runs = []
    for _ in range(repeats):
        start = time.process_time()
        for text in cut:
            bands(signature(text))
        runs.append((time.process_time() - start) / len(cut))
    return 1000 * min(runs)


def main() -> None:
    given = parser(__doc__, data="../shared/data/handbooks/18F/pages").parse_args()
    texts = pages(given.data)
    if not texts:
        raise SystemExit(f"no Markdown page of 100 words below {given.data}; name the folder with --data")
    compared = list(pairs(texts, random.Random(1)))
    lines = []
    for low, high in pairwise(EDGES):
        part = [pair for pair in compared if low <= pair.exact < high]
        if part:
            error = (sum((pair.estimate - pair.exact) ** 2 for pair in part) / len(part)) ** 0.5
            candidates = sum(pair.candidate for pair in part) / len(part)
            expected = sum(candidate_probability(pair.exact, rows(THRESHOLD)) for pair in part) / len(part)
            found = sum(pair.candidate and pair.estimate >= THRESHOLD for pair in part) / len(part)
            lines.append((f"{low:.2f} to {min(high, 1):.2f}", len(part), error, candidates, expected, found))
    print(table(("exact similarity", "pairs", "error (RMS)", "candidates", "by the curve", "found"), lines))
    print(f"{milliseconds(texts, words=250):.3f} ms of CPU for a signature and its bands at 250 words")


if __name__ == "__main__":
    main()
