"""A claim: one sentence with the words and facts by which it is compared with what it may rest on."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise

from rag.facts import Facts, facts
from rag.words import content_words

COVERAGE_WEIGHT = 0.8  # the rest goes to adjacent pairs: the same words in another order say less

_NUMBERS = r"\d+(?:(?:,? and |, ?| ?& ?)(?:passages? )?\d+)*"
_MARKER = re.compile(
    rf"\s?(?:\[(\d+(?:\s*[,;]\s*\d+)*)\](?!\()|【(\d+)[^】]*】|\(passages? ({_NUMBERS})\))", re.IGNORECASE
)
_STEP = re.compile(r"^(?:step|option|tip|method)\s+\d+\s*[:.)–-]\s*", re.IGNORECASE)
_MENTION = re.compile(rf"\bpassages? {_NUMBERS}", re.IGNORECASE)


class Claim:
    """A sentence in plain text, or a span that might support one; `start` and `end` say where a span stands."""

    def __init__(self, text: str, start: int = 0, end: int = 0) -> None:
        self.text, self.start, self.end = text, start, end
        ordered = content_words(text)
        self.content = frozenset(ordered)
        self.pairs = frozenset(pairwise(ordered))

    @cached_property
    def facts(self) -> Facts:
        return facts(self.text)

    def lexical(self, source: Claim, context: frozenset[str] = frozenset()) -> float:
        """Return the share, in [0, 1], of this claim's words and pairs in `source`; words may stand in `context`."""
        if not self.content:
            return 0.0
        coverage = len(self.content & (source.content | context)) / len(self.content)
        overlap = len(self.pairs & source.pairs) / len(self.pairs) if self.pairs else coverage
        return COVERAGE_WEIGHT * coverage + (1 - COVERAGE_WEIGHT) * overlap


def split_markers(sentence: str) -> tuple[str, list[int]]:
    """Return the sentence without its citation markers, and their numbers in order, each once.

    Markers are `[1]`, `[2][3]`, `[1, 2]`, `【1】`, `(passage 1)`; "passage 1" in running text counts and stays.
    """
    found = [text for marker in _MARKER.finditer(sentence) for text in marker.groups() if text]
    text = _MARKER.sub("", sentence).strip()
    found += [mention[0] for mention in _MENTION.finditer(text)]
    numbers = [int(number) for text_with_numbers in found for number in re.findall(r"\d+", text_with_numbers)]
    return text, list(dict.fromkeys(numbers))


def claim_of(sentence: str) -> Claim:
    """Return the claim that a drafted sentence makes, its markers, list label and mentions of passages aside."""
    return Claim(_STEP.sub("", _MENTION.sub("the passage", split_markers(sentence)[0])))
