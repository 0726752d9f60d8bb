"""What a judge's output must have to be believed, for each kind of output in ragas. Pure.

ragas divides by the verdicts that came back. Here what came back must be what was asked for: a verdict of 0 or 1 on each
statement submitted, in order; and where the judge itself takes a text apart, nothing of the text left out, nothing put
in, nothing twice. Otherwise the judgement failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from eval.answers import words as literal_words
from eval.judgement import JudgementFailed
from ingest.sentences import sentence_spans
from rag.prompts import neutralise
from rag.words import STOP_WORDS, words

STATEMENTS_COVER: Final = 2 / 3
"""Least share of a sentence's content words that the statements made of it must have; they may rephrase, not leave out."""
CLAIMS_COVER: Final = 1 / 2
"""The same for claims, whose prompt asks for the main ones."""


def check_output(asked: Any, output: Any) -> None:
    """Compare a validated output with the input that it answers.

    Args:
        asked: the input model of a ragas prompt.
        output: the output model; its class name says which rule holds.
    Raises:
        JudgementFailed: it leaves out, adds, repeats or changes something; or no rule is known for it.
    """
    rule = _RULES.get(type(output).__name__)
    if rule is None:
        raise JudgementFailed(f"no rule says when a {type(output).__name__} is complete")
    rule(asked, output)


def _verdicts(asked: Any, output: Any) -> None:
    given, returned = asked.statements, output.statements
    if len(returned) != len(given):
        raise JudgementFailed(f"{len(returned)} verdicts on {len(given)} statements")
    for number, (statement, verdict) in enumerate(zip(given, returned, strict=True), start=1):
        if literal_words(neutralise(statement)) != literal_words(neutralise(verdict.statement)):
            raise JudgementFailed(f"verdict {number} is on another statement than the one submitted")
        _binary(verdict.verdict)


def _statements(asked: Any, output: Any) -> None:
    _covers(getattr(asked, "answer", None) or asked.text, output.statements, STATEMENTS_COVER)


def _claims(asked: Any, output: Any) -> None:
    _covers(asked.response, output.claims, CLAIMS_COVER)


def _classifications(asked: Any, output: Any) -> None:
    statements = [one.statement for one in output.classifications]
    _covers(asked.answer, statements, STATEMENTS_COVER)
    text = _content_words(asked.answer)
    for statement in statements:
        if _share(_content_words(statement), text) < STATEMENTS_COVER:
            raise JudgementFailed("a classified statement is not in the reference")
    for one in output.classifications:
        _binary(one.attributed)


def _useful(asked: Any, output: Any) -> None:
    _binary(output.verdict)


def _question(asked: Any, output: Any) -> None:
    if not output.question.strip():
        raise JudgementFailed("the judge made no question of the response")
    _binary(output.noncommittal)


def _third_rating(asked: Any, output: Any) -> None:
    _among(output.rating, (0, 1, 2))


def _even_rating(asked: Any, output: Any) -> None:
    _among(output.rating, (0, 2, 4))


_RULES: Final[Mapping[str, Callable[[Any, Any], None]]] = {
    "NLIStatementOutput": _verdicts,
    "StatementFaithfulnessOutput": _verdicts,
    "StatementGeneratorOutput": _statements,
    "ClaimDecompositionOutput": _claims,
    "ContextRecallOutput": _classifications,
    "ContextPrecisionOutput": _useful,
    "AnswerRelevanceOutput": _question,
    "ResponseGroundednessOutput": _third_rating,
    "ContextRelevanceOutput": _third_rating,
    "AnswerAccuracyOutput": _even_rating,
}


def _covers(text: str, statements: Sequence[str], least: float) -> None:
    if not any(statement.strip() for statement in statements):
        raise JudgementFailed("the judge made no statement of the text")
    normal = [" ".join(literal_words(statement)) for statement in statements]
    if len(set(normal)) != len(normal) or "" in normal:
        raise JudgementFailed("the judge gave a statement twice, or an empty one")
    known = frozenset().union(*map(_content_words, statements))
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    for number, sentence in enumerate(sentences, start=1):
        if _share(_content_words(sentence), known) < least:
            raise JudgementFailed(f"the judge left out sentence {number} of {len(sentences)}")


def _content_words(text: str) -> frozenset[str]:
    found = frozenset(words(text))
    return found - STOP_WORDS or found


def _share(part: frozenset[str], whole: frozenset[str]) -> float:
    return len(part & whole) / len(part) if part else 1.0


def _binary(value: int) -> None:
    _among(value, (0, 1))


def _among(value: int, allowed: Sequence[int]) -> None:
    if value not in allowed:
        raise JudgementFailed(f"{value} is no verdict; allowed are {', '.join(map(str, allowed))}")
