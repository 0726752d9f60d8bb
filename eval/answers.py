"""Answer measures: pure functions over the text of an answer, its citations and whether it abstained.

Two normal forms are used. `squad_normalise` is that of the SQuAD script, for exact match and F1, so that figures
compare with published ones. `words` is stricter about numbers ("3.5" is not "35", "20" is not in "120") and serves
containment and facts.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_MARKER = re.compile(r"\[\d{1,3}\]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+|\d+|[%‰]|[$£¥€]")


def squad_normalise(text: str) -> str:
    """Lower-case, drop ASCII punctuation, then articles, then surplus blanks. Source: SQuAD, arXiv:1606.05250."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(answer: str, golds: Sequence[str]) -> bool:
    """Whether the answer equals a gold answer after `squad_normalise`. Source: arXiv:1606.05250."""
    return squad_normalise(answer) in {squad_normalise(gold) for gold in golds}


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """F1 = 2PR / (P + R) over the bags of tokens, best over the gold answers; two empty texts agree.

    Source: Rajpurkar et al., arXiv:1606.05250.
    """
    return max((_f1(squad_normalise(answer).split(), squad_normalise(gold).split()) for gold in golds), default=0.0)


def words(text: str) -> list[str]:
    """Return the words, numbers, currency and percent signs of `text` in order and case-folded.

    Articles and citation markers are left out. Numbers keep their decimal point and
    lose thousands commas; a number and the letters that follow it are two words.
    """
    folded = unicodedata.normalize("NFKC", _MARKER.sub(" ", text)).casefold()
    return [word for word in _WORD.findall(_THOUSANDS.sub("", folded)) if word not in _ARTICLES]


def contains(text: str, golds: Iterable[str]) -> bool:
    """Whether the `words` of a gold answer stand in those of `text`, in order and side by side.

    A gold answer without words is never contained.
    """
    haystack = _padded(text)
    return any(needle in haystack for needle in map(_padded, golds) if needle.strip())


def fact_recall(answer: str, facts: Sequence[Sequence[str]]) -> float:
    """Return the share of `facts` in the answer, in [0, 1]; a fact is a list of alternatives, one of them there.

    Raises:
        ValueError: no facts, for which a share is not defined.
    """
    if not facts:
        raise ValueError("fact_recall needs at least one fact")
    return sum(contains(answer, alternatives) for alternatives in facts) / len(facts)


def citation_precision(cited: Collection[str], reference: Collection[str]) -> float:
    """Share of the cited documents that are reference documents; 0 where nothing is cited.

    Source: Gao et al., arXiv:2305.14627, over documents instead of passages.
    """
    return len(set(cited) & set(reference)) / len(set(cited)) if cited else 0.0


def citation_recall(cited: Collection[str], reference: Collection[str]) -> float:
    """Share of the reference documents that are cited; 0 where there is no reference."""
    return len(set(cited) & set(reference)) / len(set(reference)) if reference else 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of`: a figure that keeps its denominator, so that nothing can drop out of it unseen."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """count / of, or None where there was nothing to count."""
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.count}/{self.of}" + (f" = {self.value:.3f}" if self.value is not None else "")

    def to_json(self) -> dict[str, float | int | None]:
        """Return `{"count", "of", "value"}`."""
        return {"count": self.count, "of": self.of, "value": self.value}


def share(outcomes: Iterable[bool]) -> Share:
    """Count the true ones among `outcomes`."""
    seen = list(outcomes)
    return Share(sum(seen), len(seen))


def false_abstention(outcomes: Iterable[tuple[bool, bool]]) -> Share:
    """Abstentions among the answerable; `outcomes` are pairs `(answerable, abstained)`.

    Source: Rajpurkar et al., arXiv:1806.03822.
    """
    return share(abstained for answerable, abstained in outcomes if answerable)


def right_abstention(outcomes: Iterable[tuple[bool, bool]]) -> Share:
    """Abstentions among the unanswerable; `outcomes` as for `false_abstention`."""
    return share(abstained for answerable, abstained in outcomes if not answerable)


def _padded(text: str) -> str:
    return f" {' '.join(words(text))} "


def _f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    common = (Counter(answer) & Counter(gold)).total()
    return 2 * common / (len(answer) + len(gold))
