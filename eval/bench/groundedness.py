"""How well `check_support` and the citation threshold tell supported from unsupported, on RAGTruth QA.

    python -m eval.bench.groundedness ../shared/data/ragtruth_qa [--every 1] [--fit]

Cross-validation in five folds of questions; all answers to a question are in one fold. A fold is scored by trees that
were fitted to the other four. Its thresholds maximise F1 on those four as well, each scored by trees that saw neither it
nor the fold under test: nothing of a fold under test has any part in its figures. Trivial baselines for comparison, at
the best threshold there is: every answer unsupported, and words that no passage has. `--fit` fits the trees to all
answers, writes `rag/support_trees.json` and names the digest to put into `rag/support.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.bench.boosting import boost
from eval.bench.ragtruth import Response, citations, read
from rag.counted import FEATURES
from rag.grounding import MIN_SUPPORT
from rag.support import CONTRADICTED, WEIGHTS
from rag.trees import Trees

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
FOLDS = 5
TREES = 300


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th question")
    parser.add_argument("--fit", action="store_true", help=f"fit the trees anew and write {WEIGHTS.name}")
    options = parser.parse_args(arguments)
    responses = read(options.data, every=options.every)
    if options.fit:
        content = fitted(responses).to_json(FEATURES).encode()
        WEIGHTS.write_bytes(content)
        print(f"{WEIGHTS.name}: {len(content):,} bytes; SHA256 = {hashlib.sha256(content).hexdigest()!r}")
    else:
        print(json.dumps(report(responses), indent=2))
    return 0


def report(responses: Sequence[Response]) -> dict[str, object]:
    labels = np.array([response.unsupported for response in responses])
    lacking = np.array([np.expm1(response.counted[:, 0]).sum() for response in responses])
    return {
        "answers": len(labels),
        "unsupported": round(float(labels.mean()), 3),
        "all unsupported": {"f1": round(best_f1(labels, np.zeros(len(labels)))[0], 3)},
        "words lacking": {"auroc": round(auroc(labels, lacking), 3), "f1": round(best_f1(labels, lacking)[0], 3)},
        "check_support": cross_validated(responses),
        "citation": citations(responses, sorted({0.3, 0.4, 0.5, 0.6, 0.7, MIN_SUPPORT})),
    }


def fitted(responses: Sequence[Response], trees: int = TREES) -> Trees:
    """Return trees that tell the unsupported sentences of these answers."""
    rows = np.concatenate([response.counted for response in responses])
    labels = np.array([sentence.unsupported for response in responses for sentence in response.sentences])
    return boost(rows, labels, trees=trees, depth=4, rate=0.1, ridge=10.0, share=0.3)


def cross_validated(responses: Sequence[Response], trees: int = TREES) -> dict[str, dict[str, float]]:
    """Return AUROC and F1 of finding unsupported answers, sentences and characters, each in one pool of all folds."""
    folds = fold_of([response.question for response in responses])
    single, double = (
        {held: _held_out(responses, folds, held, trees) for held in combinations(range(FOLDS), size)} for size in (1, 2)
    )
    labels = np.array([response.unsupported for response in responses])
    lengths = [len(response.sentences) for response in responses]
    owner = np.repeat(np.arange(len(responses)), lengths)
    wrong = np.array([sentence.unsupported for response in responses for sentence in response.sentences])
    answers, sentences = np.zeros(len(labels)), np.zeros(len(wrong))
    found, marked = np.zeros(len(labels), dtype=bool), np.zeros(len(wrong), dtype=bool)
    for fold in range(FOLDS):
        chances = single[fold,]
        for other in set(range(FOLDS)) - {fold}:
            chances = np.where(folds[owner] == other, double[min(fold, other), max(fold, other)], chances)
        whole, here, inside = 1 - _supports(chances, owner, len(labels)), folds == fold, folds[owner] == fold
        answers[here], sentences[inside] = whole[here], chances[inside]
        found[here] = whole[here] >= best_f1(labels[~here], whole[~here])[1]
        marked[inside] = chances[inside] >= best_f1(wrong[~inside], chances[~inside])[1]
    return {
        "answers": {"auroc": round(auroc(labels, answers), 3), "f1": round(_f1(labels, found), 3)},
        "sentences": {"auroc": round(auroc(wrong, sentences), 3), "f1": round(_f1(wrong, marked), 3)},
        "characters": _characters(responses, marked),
    }


def fold_of(questions: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the fold of each answer, by its question, drawn with a fixed seed."""
    names = sorted(set(questions))
    random.Random(0).shuffle(names)
    folds = {name: at % FOLDS for at, name in enumerate(names)}
    return np.array([folds[question] for question in questions])


def auroc(labels: Labels, scores: Floats) -> float:
    """Return the chance that a random positive scores above a random negative, ties counting half (Mann-Whitney)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def best_f1(labels: Labels, scores: Floats) -> tuple[float, float]:
    """Return the best F1 over all thresholds, and that threshold: scores from it on count as found."""
    order = np.argsort(-scores, kind="stable")
    hits, taken = np.cumsum(labels[order]), np.arange(1, len(labels) + 1)
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores fall on the same side
    values = np.where(last, 2 * hits / (taken + labels.sum()), -1.0)
    return float(values.max()), float(scores[order][values.argmax()])


def _held_out(responses: Sequence[Response], folds: npt.NDArray[np.int64], held: tuple[int, ...], count: int) -> Floats:
    """P(unsupported) of every sentence, as `check_support` has it, by trees that were not fitted to the folds `held`."""
    trees = fitted([r for r, fold in zip(responses, folds, strict=True) if fold not in held], count)
    chances = np.concatenate([trees.probability(response.counted) for response in responses])
    refuted = np.array([sentence.contradicted for response in responses for sentence in response.sentences])
    return np.where(refuted, np.maximum(chances, 1 - CONTRADICTED), chances)


def _supports(chances: Floats, owner: npt.NDArray[np.int64], answers: int) -> Floats:
    """Return each answer's score, the product of its sentences' supports."""
    scores = np.ones(answers)
    np.multiply.at(scores, owner, 1 - chances)
    return scores


def _f1(labels: Labels, found: Labels) -> float:
    return float(2 * (labels & found).sum() / (labels.sum() + found.sum()))


def _characters(responses: Sequence[Response], marked: Labels) -> dict[str, float]:
    """Precision, recall and F1 of the characters in marked sentences, against those in labelled spans, as in RAGTruth."""
    sentences = [sentence for response in responses for sentence in response.sentences]
    lengths, labelled = (np.array([getattr(s, name) for s in sentences]) for name in ("length", "labelled"))
    hits, taken, wanted = labelled[marked].sum(), lengths[marked].sum(), sum(r.labelled for r in responses)
    figures = {"precision": hits / taken, "recall": hits / wanted, "f1": 2 * hits / (taken + wanted)}
    return {name: round(float(value), 3) for name, value in figures.items()}


if __name__ == "__main__":
    sys.exit(main())
