"""Sentences that talk to the model instead of to the reader. They are never quoted as an answer, nor taken as evidence for one.

Rules for the wording that planted instructions share; a document is not hidden for them, only such sentences, and what follows them in
the same paragraph, are kept out of answers. Retrieved text is data: nothing here, or elsewhere, obeys it.
Source: Greshake et al. 2023, arXiv:2302.12173, for the attack.
"""

from __future__ import annotations

import re

from ingest.clean import strip_invisible
from ingest.sentences import sentence_spans

_ADDRESSEE = r"(?:(?:ai )?(?:assistant|chat ?bot|language model|model|agent|system)|ai|llm)"
_INSTRUCTIONS = r"(?:instructions?|prompts?|rules?|guidelines?|guardrails?|restrictions?|directions?|context)"
_REPLY = r"(?:repl(?:y|ies)|answers?|responses?|outputs?)"
_RULES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Overrides what came before.
        rf"(?<![a-z])(?<!not )(?:ignore|disregard|forget|override|bypass).{{0,40}}\b(?:previous|prior|above|earlier|preceding|your|system)\b"
        rf".{{0,30}}\b{_INSTRUCTIONS}\b",
        rf"(?<![a-z])(?<!not )(?:ignore|disregard|forget|bypass) (?:all|any|every)(?: of)?(?: the| these| other)? {_INSTRUCTIONS}\b",
        rf"^\W*(?:ignore|disregard|forget) the {_INSTRUCTIONS}(?: above| below)?\W*$",
        # Plays a role of the chat protocol, or gives the reader one.
        r"^\W*(?-i:SYSTEM|DEVELOPER|ASSISTANT|INSTRUCTIONS?)\s*:",
        r"^\W*(?:system|developer|assistant|ai|llm)\s+(?:override|prompt|message|instructions?|note)\s*:",
        r"\bsystem (?:override|prompt)\b|\bsystem message\s*:",
        r"<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]|<<SYS>>",
        rf"\b(?:you are now|from now on,? you|act as|pretend to be)\b.{{0,60}}\b(?:{_ADDRESSEE}|mode|unrestricted|procurement|admin\w*)\b",
        # Speaks to the model by name.
        rf"\b(?:note|message|instructions?|attention|dear)\W{{0,3}}\s*(?:to|for)?\s*(?:the|any|all|every)?\s*(?:{_ADDRESSEE})s?\b\s*[:,.]",
        r"\bif you are an? (?:ai|llm|language model|chat ?bot|(?:ai )?assistant|(?:ai|automated) (?:agent|system))\b",
        # Dictates the reply.
        rf"\b(?:begin|start|end|finish|close|prefix|conclude)\b.{{0,20}}\b(?:your|every|each)\b.{{0,12}}\b{_REPLY}\b",
        rf"\b(?:in|into|to|at the end of) (?:every|each|all) (?:of )?(?:your )?{_REPLY}\b|\bat the end of your {_REPLY}\b",
        r"\b(?:include|append|add|insert|put|mention|repeat)\b.{0,40}\b(?:in|into|to) your (?:answer|response|output)\b",
        r"(?<!not )\b(?:reveal|print|repeat|output|leak|disclose)\b.{0,30}"
        r"\b(?:system prompt|(?:your|hidden|these) (?:instructions|prompt|rules)|(?:all|every|the) (?:\w+ )?(?:salaries|passwords?|secrets?"
        r"|credentials|api keys?))\b",
        r"!\[[^\]]*\]\(\s*\w+://",
        r"\bdo not (?:tell|inform|mention (?:this|it) to|reveal this to)\b.{0,20}\b(?:user|reader|human|person)\b",
    )
)


def addresses_model(sentence: str) -> bool:
    """Return whether the sentence, as it stands in the document, reads as an instruction to a model."""
    shown = strip_invisible(sentence)
    return any(rule.search(shown) for rule in _RULES)


def tainted_spans(text: str) -> list[tuple[int, int]]:
    """Return where `text` speaks to a model: from such a sentence to the end of its paragraph, in order, never overlapping."""
    spans: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        if (not spans or start >= spans[-1][1]) and addresses_model(text[start:end]):
            blank_line = text.find("\n\n", end)
            spans.append((start, len(text) if blank_line < 0 else blank_line))
    return spans
