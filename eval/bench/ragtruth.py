"""RAGTruth's question answering part: answers of models to questions with passages, unsupported spans labelled by people.

Data: Niu et al., arXiv:2401.00396 (`source_info_train.jsonl`, `response_train.jsonl`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.claims import Claim, claim_of
from rag.counted import Known, contradicted, rows
from rag.sentences import readable, sentence_spans


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, its labels, and what a citation would see; lengths in characters."""

    contradicted: bool
    unsupported: bool
    length: int
    labelled: int  # so much of it lies in unsupported spans
    lexical: float
    foreign: float  # the best match among the passages of another question


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `counted` has a row for each sentence."""

    question: str
    unsupported: bool
    labelled: int  # characters in unsupported spans, also where no sentence was found
    counted: npt.NDArray[np.float64]
    sentences: tuple[Sentence, ...]


def read(data: Path, *, every: int = 1) -> list[Response]:
    """Return the answers to every n-th question, in the file's order."""
    sources = {row["source_id"]: row["source_info"]["passages"] for row in _lines(data / "source_info_train.jsonl")}
    wanted = sorted(sources)[::every]
    known = {
        name: Known([part for part in re.split(r"passage \d+:", sources[name]) if part.strip()]) for name in wanted
    }
    strangers = dict(zip(wanted, random.Random(0).sample(wanted, len(wanted)), strict=True))
    return [
        _response(row, known[name], known[strangers[name]])
        for row in _lines(data / "response_train.jsonl")
        if (name := row["source_id"]) in known
    ]


def _response(row: dict[str, Any], known: Known, stranger: Known) -> Response:
    text = row["response"]
    bad = np.zeros(len(text), dtype=bool)
    for label in row["labels"]:
        bad[label["start"] : label["end"]] = True
    spans = [(span, claim_of(readable(text, span))) for span in sentence_spans(text)]
    spans = [(span, claim) for span, claim in spans if claim.content]
    sentences = tuple(
        Sentence(
            contradicted(claim, known),
            bool(bad[start:end].any()),
            end - start,
            int(bad[start:end].sum()),
            _best(claim, known),
            _best(claim, stranger),
        )
        for (start, end), claim in spans
    )
    counted = rows([claim for _, claim in spans], known)
    return Response(row["source_id"], bool(row["labels"]), int(bad.sum()), counted, sentences)


def _best(claim: Claim, known: Known) -> float:
    return max((claim.lexical(span) for span in known.spans), default=0.0)


def citations(responses: Iterable[Response], thresholds: Sequence[float]) -> dict[str, dict[str, float]]:
    """Return the share a citation accepts at each threshold: labelled supported, unsupported, and of foreign passages."""
    sentences = [sentence for response in responses for sentence in response.sentences]
    lexical, foreign = np.array([s.lexical for s in sentences]), np.array([s.foreign for s in sentences])
    unsupported = np.array([s.unsupported for s in sentences])
    return {
        f"{threshold:.2f}": {
            "supported": round(float((lexical[~unsupported] >= threshold).mean()), 3),
            "unsupported": round(float((lexical[unsupported] >= threshold).mean()), 3),
            "foreign": round(float((foreign >= threshold).mean()), 4),
        }
        for threshold in thresholds
    }


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
