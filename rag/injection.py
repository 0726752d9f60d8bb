"""Sentences that talk to the model instead of to the reader. They are never quoted as an answer.

Rules for the wording that planted instructions share; a document is not hidden for them, only such sentences (and what hangs on them in the
same line) are kept out of answers. Retrieved text is data: nothing here, or elsewhere, obeys it.
Source: Greshake et al. 2023, arXiv:2302.12173, for the attack.
"""

from __future__ import annotations

import re

_ADDRESSEE = r"(?:assistant|chat ?bot|language model|llm|ai(?: model| system| agent)?|model)"
_RULES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Overrides what came before.
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|your|the)\b.{0,30}"
        r"\b(?:instructions?|prompts?|rules?|guidelines?|guardrails?|restrictions?|directions?|context)\b",
        # Plays a role of the chat protocol, or gives the reader one.
        rf"^\W*(?:system|developer|assistant|{_ADDRESSEE})\s*(?:override|prompt|message|instructions?|note)?\s*:",
        r"\bsystem (?:override|prompt|message)\b",
        r"<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]|<<SYS>>",
        rf"\b(?:you are now|from now on,? you|act as|pretend to be)\b.{{0,60}}\b(?:{_ADDRESSEE}|mode|unrestricted|procurement|admin\w*)\b",
        # Speaks to the model by name.
        rf"\b(?:note|message|instructions?|attention|dear)\W{{0,3}}\s*(?:to|for)?\s*(?:the|any|all|every)?\s*{_ADDRESSEE}s?\b\s*[:,.]",
        rf"\bif you are an? {_ADDRESSEE}\b",
        # Dictates the reply.
        r"\b(?:begin|start|end|finish|close|prefix|conclude)\b.{0,20}\b(?:your|the|every|each|all)\b.{0,12}\b(?:repl\w+|answers?|responses?|outputs?)\b",
        r"\b(?:in|into|to|at the end of) your (?:reply|answer|response|output)\b",
        r"\b(?:reveal|print|repeat|output|leak|disclose)\b.{0,30}\b(?:your|the|all|any)\b.{0,30}"
        r"\b(?:system prompt|instructions|salaries|passwords?|secrets?|credentials|api keys?|confidential)\b",
        r"!\[[^\]]*\]\(\s*\w+://",
        r"\bdo not (?:tell|inform|mention (?:this|it) to|reveal this to)\b.{0,20}\b(?:user|reader|human|person)\b",
    )
)


def addresses_model(sentence: str) -> bool:
    """Return whether the sentence reads as an instruction to a model."""
    return any(rule.search(sentence) for rule in _RULES)
