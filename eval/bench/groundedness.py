"""How well `check_support` and the citation threshold tell supported from unsupported, on RAGTruth QA.

    python -m eval.bench.groundedness ../shared/data/ragtruth_qa [--every 1] [--embed] [--fit]

Data: Niu et al., arXiv:2401.00396 (`source_info_train.jsonl`, `response_train.jsonl`): answers of models to questions
with passages, their unsupported spans labelled. `--fit` estimates the weights in `rag/support.py` on one half of the
questions and measures on the other, both ways round; no question is ever in both. Trivial baselines for comparison:
every answer unsupported, and words that no passage has.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from rag.claims import Claim, claim_of
from rag.grounding import MIN_SUPPORT
from rag.sentences import readable, sentence_spans
from rag.support import CONTRADICTED, Embed, Known, contradicted, features, likeness, probability

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: what is counted of it, its label, and what a citation would see."""

    counted: tuple[float, ...]
    contradicted: bool
    unsupported: bool
    lexical: float
    foreign: float  # the best match among the passages of another question


@dataclass(frozen=True, slots=True)
class Response:
    question: str
    unsupported: bool
    sentences: tuple[Sentence, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th question")
    parser.add_argument("--embed", action="store_true", help="with the default embedder")
    parser.add_argument("--fit", action="store_true", help="estimate the weights anew")
    options = parser.parse_args(arguments)
    responses = read(options.data, every=options.every, embed=_embedder() if options.embed else None)
    print(json.dumps(report(responses, fit=options.fit), indent=2))
    return 0


def report(responses: Sequence[Response], *, fit: bool) -> dict[str, object]:
    labels = np.array([response.unsupported for response in responses])
    lacking = np.array(
        [sum(np.expm1(sentence.counted[0]) for sentence in response.sentences) for response in responses]
    )
    figures: dict[str, object] = {
        "answers": len(labels),
        "unsupported": round(float(labels.mean()), 3),
        "all unsupported": {"f1": round(best_f1(labels, np.zeros(len(labels))), 3)},
        "words lacking, talk of itself aside": _measured(labels, lacking),
        "check_support": _answers(responses, probability),
        "citation": citations(responses),
    }
    if fit:
        names = sorted({response.question for response in responses})
        halves = [[r for r in responses if (r.question in set(names[::2])) == first] for first in (True, False)]
        figures["weights"] = [round(float(weight), 3) for weight in _weights(responses)]
        figures["refitted on the other half"] = [
            _answers(test, _model(_weights(train))) for train, test in (halves, halves[::-1])
        ]
    return figures


def citations(responses: Iterable[Response]) -> dict[str, dict[str, float]]:
    """Return the share accepted at each threshold: labelled supported, unsupported, and against foreign passages."""
    sentences = [sentence for response in responses for sentence in response.sentences]
    lexical, foreign = np.array([s.lexical for s in sentences]), np.array([s.foreign for s in sentences])
    unsupported = np.array([s.unsupported for s in sentences])
    return {
        f"{threshold:.2f}": {
            "supported": round(float((lexical[~unsupported] >= threshold).mean()), 3),
            "unsupported": round(float((lexical[unsupported] >= threshold).mean()), 3),
            "foreign": round(float((foreign >= threshold).mean()), 4),
        }
        for threshold in sorted({0.3, 0.4, 0.5, 0.6, 0.7, MIN_SUPPORT})
    }


def read(data: Path, *, every: int = 1, embed: Embed | None = None) -> list[Response]:
    sources = {row["source_id"]: row["source_info"]["passages"] for row in _rows(data / "source_info_train.jsonl")}
    wanted = sorted(sources)[::every]
    known = {
        name: Known([part for part in re.split(r"passage \d+:", sources[name]) if part.strip()]) for name in wanted
    }
    strangers = dict(zip(wanted, random.Random(0).sample(wanted, len(wanted)), strict=True))
    responses = []
    for row in _rows(data / "response_train.jsonl"):
        if (name := row["source_id"]) in known:
            text, spans = row["response"], [(label["start"], label["end"]) for label in row["labels"]]
            claims = [
                (claim, any(start < span[1] and span[0] < end for start, end in spans))
                for claim, span in ((claim_of(readable(text, span)), span) for span in sentence_spans(text))
                if claim.content
            ]
            alike = likeness([claim for claim, _ in claims], known[name], embed)
            sentences = tuple(
                _sentence(claim, bad, known[name], known[strangers[name]], () if alike is None else (alike[at],))
                for at, (claim, bad) in enumerate(claims)
            )
            responses.append(Response(name, bool(spans), sentences))
    return responses


def auroc(labels: npt.NDArray[np.bool_], scores: Floats) -> float:
    """Return the chance that a random positive scores above a random negative, ties counting half (Mann-Whitney)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def best_f1(labels: npt.NDArray[np.bool_], scores: Floats) -> float:
    """Return the best F1 over all thresholds; equal scores fall on the same side."""
    order = np.argsort(-scores, kind="stable")
    hits, taken = np.cumsum(labels[order]), np.arange(1, len(labels) + 1)
    last = np.append(np.diff(scores[order]) != 0, True)
    return float((2 * hits / (taken + labels.sum()))[last].max())


def _measured(labels: npt.NDArray[np.bool_], scores: Floats) -> dict[str, float]:
    return {"auroc": round(auroc(labels, scores), 3), "f1": round(best_f1(labels, scores), 3)}


def _answers(responses: Sequence[Response], model: Callable[[Sequence[float]], float]) -> dict[str, float]:
    """AUROC and best F1 of 1 - score for finding the answers that have an unsupported span."""
    scores = [
        np.prod([min(1 - model(s.counted), CONTRADICTED if s.contradicted else 1.0) for s in response.sentences])
        for response in responses
    ]
    return _measured(np.array([response.unsupported for response in responses]), 1 - np.array(scores))


def _sentence(claim: Claim, bad: bool, known: Known, stranger: Known, alike: tuple[float, ...]) -> Sentence:
    lexical, foreign = (max((claim.lexical(span) for span in some.spans), default=0.0) for some in (known, stranger))
    return Sentence((*features(claim, known), *alike), contradicted(claim, known), bad, lexical, foreign)


def _embedder() -> Embed:
    """The default embedder, each text embedded once."""
    from indexes.embedder import make_embedder
    from indexes.settings import load_settings

    embedder, rows = (
        make_embedder(settings := load_settings(), home=settings.home.expanduser()),
        dict[str, Float32Matrix](),
    )

    def embed(texts: list[str]) -> Float32Matrix:
        new = sorted({text for text in texts if text not in rows}, key=len)
        rows.update(zip(new, embedder.embed_passages(new), strict=True) if new else ())
        return np.stack([rows[text] for text in texts])

    return embed


def _weights(responses: Iterable[Response]) -> Floats:
    """Bias and weights of a logistic regression over sentences, by Newton's method with a whisper of ridge."""
    sentences = [sentence for response in responses for sentence in response.sentences]
    rows = np.array([(1.0, *sentence.counted) for sentence in sentences])
    labels = np.array([sentence.unsupported for sentence in sentences], dtype=float)
    weights = np.zeros(rows.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-rows @ weights))
        curvature = rows.T @ (rows * (chance * (1 - chance))[:, None]) + 1e-6 * np.eye(len(weights))
        weights += np.linalg.solve(curvature, rows.T @ (labels - chance) - 1e-6 * weights)
    return weights


def _model(weights: Floats) -> Callable[[Sequence[float]], float]:
    return lambda counted: float(1 / (1 + np.exp(-(weights[0] + np.dot(weights[1:], counted)))))


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    sys.exit(main())
