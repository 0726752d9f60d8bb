"""Is a sentence borne out by its sources? Citations are attached and checked here, never taken on a model's word.

Two questions, two measures. `verify_sentence` and `attach_citations` ask whether one span supports one sentence: hard
facts must agree (`rag.facts`), then enough of its content words must stand in the span. `check_support` asks how far a
whole answer can be trusted given all passages, as a probability fitted on labelled answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from rag.claims import Claim, claim_of, split_markers
from rag.facts import disagreement
from rag.passages import Passage
from rag.sentences import readable, sentence_spans
from rag.support import Embed, SentenceSupport, Support, check_support
from rag.words import words

__all__ = [
    "Attached",
    "CitedSpan",
    "Evidence",
    "SentenceSupport",
    "Support",
    "SupportVerdict",
    "attach_citations",
    "check_support",
    "verify_sentence",
]

# Measured by `eval/bench/groundedness.py` on RAGTruth QA: at 0.6, before facts are compared, a span is found for 55 %
# of the sentences labelled supported, 15 % of the unsupported, and 0.24 % against the passages of another question.
MIN_SUPPORT = 0.6
MIN_LEXICAL = 0.4  # with an embedder, from here on likeness decides: 73 %, 36 % and 0.9 % there
MIN_COSINE = 0.8  # of all-MiniLM-L6-v2, on a fifth of that data: 9 % of what passes is labelled unsupported, else 14 %
_JOINT_GAIN = 0.1  # so much more must several passages say together than the best of them alone
_CHECKED_SPANS = 12  # spans per passage whose facts are compared, the best by words first


@dataclass(frozen=True, slots=True)
class SupportVerdict:
    """Whether sources support a sentence: `markers` of those that do, the best `support`, else the `reason` why not."""

    supported: bool
    support: float
    markers: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CitedSpan:
    """`passage.text[start:end]` of the passage numbered `marker` supports the sentence."""

    marker: int
    start: int
    end: int
    support: float


@dataclass(frozen=True, slots=True)
class Attached:
    """A sentence without the markers its author wrote, and the citations that hold; none if it is unsupported."""

    text: str
    citations: tuple[CitedSpan, ...]
    support: float
    reason: str = ""

    @property
    def supported(self) -> bool:
        return bool(self.citations)


class Evidence:
    """Passages made ready for `attach_citations`; build it once for all sentences of an answer."""

    def __init__(self, passages: Sequence[Passage], *, embed: Embed | None = None) -> None:
        self.embed = embed
        self._passages = {passage.number: passage for passage in passages}

    @cached_property
    def spans(self) -> dict[int, list[tuple[Claim, frozenset[str]]]]:
        """For each passage its sentences and pairs of neighbours, with the stems of title and headings above each."""
        return {number: list(_candidates(passage)) for number, passage in self._passages.items()}

    def best(self, claim: Claim, number: int) -> tuple[CitedSpan | None, float, str]:
        """Return the span of one passage that supports the claim best; else None, the nearest miss and its reason."""
        scored = [(claim.lexical(span, context), span, context) for span, context in self.spans.get(number, ())]
        scored.sort(key=lambda item: (-item[0], item[1].end - item[1].start, item[1].start))
        nearest, reason = 0.0, "no passage speaks of it"
        for lexical, span, context in scored[:_CHECKED_SPANS]:
            support, fault = _judge(claim, span, context, lexical, self.embed)
            if not fault:
                return CitedSpan(number, span.start, span.end, support), support, ""
            if support > nearest:
                nearest, reason = support, fault
        return None, nearest, reason

    def numbers(self) -> list[int]:
        return list(self._passages)


def attach_citations(sentence: str, evidence: Evidence | Sequence[Passage]) -> Attached:
    """Return the citations that hold for one sentence of a draft.

    Markers that the author wrote (`[1]`, `[2][3]`, `[1, 2]`, `【1】`) are kept where their passage supports the
    sentence; where none does, the best supporting span among all passages is cited instead. Two written passages may
    support a sentence together. Spans are one sentence, or two neighbours where one alone does not do.
    """
    if not isinstance(evidence, Evidence):
        evidence = Evidence(evidence)
    text, written = split_markers(sentence)
    claim = claim_of(sentence)
    known = [number for number in written if number in evidence.spans]
    found = [evidence.best(claim, number) for number in known]
    kept = [span for span, _, _ in found if span]
    if len(known) > 1 and len(kept) < len(known):
        joint = _together(claim, evidence, known)
        kept = (
            joint
            if joint and joint[0].support > max((span.support for span in kept), default=0.0) + _JOINT_GAIN
            else kept
        )
    if not kept:
        found += [evidence.best(claim, number) for number in evidence.numbers() if number not in known]
        kept = sorted((span for span, _, _ in found if span), key=lambda span: (-round(span.support, 3), span.marker))[
            :1
        ]
    if kept:
        return Attached(text, tuple(kept), max(span.support for span in kept))
    _, support, reason = max(found, key=lambda miss: miss[1], default=(None, 0.0, "there are no passages"))
    return Attached(text, (), support, reason)


def verify_sentence(sentence: str, sources: Sequence[tuple[int, str]], *, embed: Embed | None = None) -> SupportVerdict:
    """Return whether the cited spans, (marker, plain text) each, support the sentence.

    Numbers with their units and bounds, dates, times, names, product codes and negation must agree; then the share of
    content words must reach `MIN_SUPPORT`, or `MIN_LEXICAL` where `embed` is given and finds the two alike. `support`
    is that share, in [0, 1].
    """
    claim = claim_of(sentence)
    judged = []
    for marker, text in sources:
        span = Claim(text)
        judged.append((marker, *_judge(claim, span, frozenset(), claim.lexical(span), embed)))
    markers = tuple(marker for marker, _, fault in judged if not fault)
    if markers:
        return SupportVerdict(True, max(support for _, support, fault in judged if not fault), markers)
    _, support, reason = max(judged, key=lambda item: item[1], default=(0, 0.0, "no source is cited"))
    return SupportVerdict(False, support, (), reason)


def _judge(
    claim: Claim, span: Claim, context: frozenset[str], lexical: float, embed: Embed | None
) -> tuple[float, str]:
    """Return (support, why not); the reason is "" where the span supports the claim."""
    if not claim.content:
        return 0.0, "the sentence says nothing that could be checked"
    if lexical >= MIN_LEXICAL and (fault := disagreement(claim.facts, span.facts, context)):
        return lexical, f"{fault} does not agree"
    if lexical < (MIN_LEXICAL if embed else MIN_SUPPORT):
        return lexical, "too few of its words stand in the passages"
    if embed and lexical < MIN_SUPPORT:
        rows = embed([claim.text, span.text])
        if float(rows[0] @ rows[1]) < MIN_COSINE:
            return lexical, "too few of its words stand in the passages"
    return lexical, ""


def _candidates(passage: Passage) -> list[tuple[Claim, frozenset[str]]]:
    text = passage.text
    offsets = sentence_spans(text)
    plain = [readable(text, span) for span in offsets]
    spans = [Claim(sentence, *span) for sentence, span in zip(plain, offsets, strict=True)]
    spans += [Claim(f"{one.text} {two.text}", one.start, two.end) for one, two in pairwise(spans)]
    headings = [
        (found.start(), frozenset(words(found[1]))) for found in re.finditer(r"^#{1,6}\s+(.*)$", text, re.MULTILINE)
    ]
    title = frozenset(words(passage.hit.title))
    return [(span, title.union(*(stems for start, stems in headings if start < span.start))) for span in spans]


def _together(claim: Claim, evidence: Evidence, numbers: list[int]) -> list[CitedSpan]:
    """Citations of several passages that support the claim only jointly; each must add words that the others lack."""
    parts: list[tuple[int, Claim]] = []
    seen: frozenset[str] = frozenset()
    for number in numbers:
        spans = [span for span, _ in evidence.spans[number]]
        best = max(
            spans, key=lambda span: (len(span.content & claim.content - seen), span.start - span.end), default=None
        )
        if best and best.content & claim.content - seen:
            parts.append((number, best))
            seen |= best.content
    joint = Claim(" ".join(span.text for _, span in parts))
    support, fault = _judge(claim, joint, frozenset(), claim.lexical(joint), evidence.embed)
    return [] if fault else [CitedSpan(number, span.start, span.end, support) for number, span in parts]
