"""Questions made from a collection, as one principal may read it: by rules, or by a configured model that is not taken at its word.

The rules make two kinds. A cloze leaves a number or a name out of a sentence; an entity question asks what the sentence
says its subject is. Both carry the sentence as evidence quote, so that they can be scored under any chunking. Equal texts
and seed give equal questions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import Any

from eval.answers import contains, words
from eval.datasets import Sample
from eval.judge_prompt import judge_messages
from eval.judge_reply import read_reply
from eval.judgement import JudgementFailed
from indexes.errors import ProviderError
from indexes.vocabulary import digest
from ingest.injection import addresses_model
from ingest.sentences import sentence_spans
from rag.sentences import plain
from rag.words import STOP_WORDS

BLANK = "_____"
_SENTENCE_WORDS = range(8, 41)
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_NUMBER = re.compile(
    rf"\b\d{{1,2}} {_MONTH}(?: \d{{4}})?|\b{_MONTH} \d{{4}}|"
    r"(?:[$£€]|EUR |USD |CZK )?\d[\d.,:]*\d?(?:\s?(?:%|percent|days?|weeks?|months?|years?|hours?|minutes?|people|km|kg|EUR|euros?|million))?"
)
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)\b[A-Z][\w-]+(?:\s+(?:of\s+|the\s+)?[A-Z][\w-]+){0,3}")
_SUBJECT = re.compile(r"^((?:The|Our|Each|Every)\s+[\w' -]{3,60}?)\s+(is|are|was|were)\s+(?!not\b)", re.ASCII)
_ATTRIBUTE = re.compile(r"(?:(?:about|at least|at most|up to|only|now|from)\s+)?", re.I)
_CLAUSE = frozenset({"and", "but", "if", "that", "when", "which", "who", "must"})
_TASK = """Write one question that the sentence in the material answers, and its answer, as JSON with the keys "question" and "answer".
The question must make sense without the sentence before one's eyes, and ask as a colleague would. The answer is a few words
copied from the sentence; the question must not contain them."""

Write = Callable[[tuple[Mapping[str, str], ...]], str]


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence that a question may be made of: `quote` as it stands in the document, `text` without markup."""

    document_id: str
    quote: str
    text: str


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The questions, and how often a model's question was refused so that the rules' stands in its place."""

    samples: tuple[Sample, ...]
    refused: int = 0


def synthesize(
    texts: Iterable[tuple[str, str]], *, principal: str, count: int, seed: int = 0, write: Write | None = None
) -> Synthesis:
    """Return at most `count` questions, fewer where the texts have no more, spread over the documents.

    Sentences that stand in more than one document are left out, for their question would have two right documents; so are those that talk to a model.

    Args:
        texts: (document id, text) of what the principal may read.
        principal: who asks, as the dataset shall name it.
        write: asks a model; its question is taken only if its answer stands in the sentence and not in the question.
    """
    found = _unique(sources(texts))
    ambiguous = {thing for thing, times in Counter(map(_thing, found)).items() if times > 1}
    chosen = _spread(found, Random(f"{seed}"))
    samples: list[Sample] = []
    refused = 0
    for source in chosen:
        if len(samples) == count:
            break
        by_rule = _by_rule(source, Random(digest(str(seed), source.text)), principal, ambiguous)
        if by_rule is None:
            continue
        written = _written(source, principal, write) if write else None
        refused += write is not None and written is None
        samples.append(written or by_rule)
    return Synthesis(tuple(samples), refused)


def sources(texts: Iterable[tuple[str, str]]) -> Iterator[Source]:
    """Yield the whole sentences of running text, 8 to 40 words long."""
    for document_id, text in texts:
        for start, end in sentence_spans(text):
            quote = text[start:end].strip()
            sentence = plain(quote)
            if "|" in quote or not sentence.endswith((".", "!")) or addresses_model(sentence):
                continue
            if len(sentence.split()) in _SENTENCE_WORDS and sentence[0].isupper():
                yield Source(document_id, quote, sentence)


def _unique(found: Iterable[Source]) -> list[Source]:
    every = list(found)
    homes: dict[str, set[str]] = {}
    for source in every:
        homes.setdefault(" ".join(words(source.text)), set()).add(source.document_id)
    kept = {" ".join(words(source.text)): source for source in every}
    return [source for key, source in kept.items() if len(homes[key]) == 1]


def _spread(found: Iterable[Source], rng: Random) -> Iterator[Source]:
    """One sentence of each document, then a second of each, and so on; documents and sentences in random order."""
    by_document: dict[str, list[Source]] = {}
    for source in found:
        by_document.setdefault(source.document_id, []).append(source)
    columns = [by_document[name] for name in sorted(by_document)]
    for column in columns:
        rng.shuffle(column)
    rng.shuffle(columns)
    return (source for row in zip_longest(*columns) for source in row if source is not None)


def _thing(source: Source) -> str:
    """What the sentence is about, as it stands in a question; empty where it has no such subject."""
    subject = _SUBJECT.match(source.text)
    return subject[1][0].lower() + subject[1][1:] if subject else ""


def _by_rule(source: Source, rng: Random, principal: str, ambiguous: Collection[str]) -> Sample | None:
    gaps = [gap for gap in _gaps(source.text) if not contains(_without(source.text, gap), [gap[0]])]
    if not gaps:
        return None
    subject = _SUBJECT.match(source.text)
    after = [gap for gap in gaps if subject and gap.start() >= subject.end()]
    told = [gap for gap in after if subject and _ATTRIBUTE.fullmatch(source.text[subject.end() : gap.start()])]
    if subject and told and not _vague(subject[1]) and _thing(source) not in ambiguous:
        return _sample(source, principal, f"What {subject[2]} {_thing(source)}?", source.text, _fact(told[0]), "entity")
    gap = rng.choice(gaps)
    question = f"What belongs in the gap: {_without(source.text, gap).strip()}"
    return _sample(source, principal, question, source.text, _fact(gap), "cloze")


def _gaps(text: str) -> list[re.Match[str]]:
    """Numbers with their units and dates, and names that are no part of one, in reading order."""
    numbers = [gap for gap in _NUMBER.finditer(text) if words(gap[0])]
    names = [
        gap
        for gap in _NAME.finditer(text)
        if all(gap.end() < number.start() - 1 or number.end() + 1 < gap.start() for number in numbers)
    ]
    return sorted([*numbers, *names], key=lambda gap: gap.start())


def _fact(gap: re.Match[str]) -> tuple[str, ...]:
    return (gap[0].rstrip(".,:"),)


def _without(text: str, gap: re.Match[str]) -> str:
    tail = gap[0][len(gap[0].rstrip(".,:")) :]
    return f"{text[: gap.start()]}{BLANK}{tail}{text[gap.end() :]}"


def _vague(subject: str) -> bool:
    """Whether nobody could tell what is meant: fewer than two words of content, or half a clause."""
    found = words(subject)
    return sum(word not in STOP_WORDS for word in found) < 2 or not _CLAUSE.isdisjoint(found)


def _written(source: Source, principal: str, write: Write) -> Sample | None:
    try:
        found = read_reply(write(judge_messages(_TASK, {"sentence": source.text})), _question_and_answer)
    except (JudgementFailed, ProviderError):
        return None
    question, answer = found
    if not contains(source.text, [answer]) or contains(question, [answer]) or addresses_model(question):
        return None
    return _sample(source, principal, question, source.text, (answer,), "written")


def _question_and_answer(found: Mapping[str, Any]) -> tuple[str, str]:
    question, answer = found.get("question"), found.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str) or not question.strip() or not words(answer):
        raise ValueError('wanted {"question": text, "answer": text}')
    return question.strip(), answer.strip()


def _sample(source: Source, principal: str, question: str, reference: str, fact: tuple[str, ...], kind: str) -> Sample:
    return Sample(
        id=f"syn-{digest(principal, source.document_id, question)[:12]}",
        user_input=question,
        reference=reference,
        reference_contexts=(source.quote,),
        reference_document_ids=(source.document_id,),
        principal=principal,
        tags=("synthetic", kind),
        reference_facts=(fact,),
    )
