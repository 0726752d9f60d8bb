"""Identifiers of single countries and professions, found by presidio-analyzer's pattern recognisers.

What presidio recognises by pattern and check digit alone is taken as it is, by its own type names (UK_NHS, IT_FISCAL_CODE,
DE_TAX_ID, CRYPTO, DATE_TIME, ...). No language model is loaded. Two things are added: presidio's words of context raise
a score as they do in its analyzer, and a recogniser sees the text in windows, because the time of some grows with the
square of the length (IN_PAN, US_DRIVER_LICENSE).

Importing presidio takes seconds, for it imports spaCy; so it is imported when one of its types is asked for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from indexes.errors import DependencyMissing
from ingest.pii.spans import PiiSpan, near

WINDOW, OVERLAP = 1000, 200
"""Characters a recogniser sees at once, and those that neighbouring windows share: more than any identifier is long."""

CONTEXT_BONUS, CONTEXT_FLOOR = 0.35, 0.4
"""What a word of context adds to a score, and the least score beside one: presidio's own figures."""


@cache
def recognisers() -> dict[str, tuple[tuple[Any, re.Pattern[str] | None], ...]]:
    """Return presidio's pattern recognisers by type, each with its words of context.

    Raises:
        DependencyMissing: presidio-analyzer is not installed.
    """
    try:
        from presidio_analyzer import PatternRecognizer, predefined_recognizers
    except ImportError as error:
        raise DependencyMissing("presidio-analyzer", extra="policy") from error
    found: dict[str, tuple[tuple[Any, re.Pattern[str] | None], ...]] = {}
    for _, kind in inspect.getmembers(predefined_recognizers, inspect.isclass):
        if issubclass(kind, PatternRecognizer):
            recogniser: Any = kind()
            for type in recogniser.supported_entities:
                found[type] = (*found.get(type, ()), (recogniser, _words(recogniser.context)))
    return found


def identifiers(text: str, type: str) -> Iterator[PiiSpan]:
    """Yield what presidio's recognisers of `type` find in `text`. Cost: linear."""
    for recogniser, words in recognisers()[type]:
        for base in range(0, max(len(text) - OVERLAP, 1), WINDOW - OVERLAP):
            window = text[base : base + WINDOW]
            for result in recogniser.analyze(window, [type]):
                start, end, score = base + result.start, base + result.end, result.score
                if words and score < 1 and near(words, text, start, end):
                    score = min(max(score + CONTEXT_BONUS, CONTEXT_FLOOR), 1.0)
                yield PiiSpan(type, start, end, score)


def _words(context: list[str] | None) -> re.Pattern[str] | None:
    words = [re.escape(word.strip()) for word in context or () if word.strip()]
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE) if words else None
