"""Tasks in a document: sentences that ask for a text to be written, found or worked out.

No rule can tell an order to a model from an ordinary assignment by its wording alone; but neither answers a question that is about
something else. So the answerer passes over a task that shares nothing with the question; where a procedure is asked for,
whose steps are orders too, over one whose title and heading share nothing either.
"""

from __future__ import annotations

import re

_OPENING = (
    r"(?:(?:\W{0,5}(?:please|kindly|also|now|then|next|and|finally|additionally|lastly|first|instead|hey|hi|hello)\b[,:]?\s*){0,3}"
    r"(?:\W{0,5}(?:(?:can|could|would|will) you|i (?:want|need|would like) you to|i\'d like you to|your task is to)\s+"
    r"(?:please\s+|also\s+|now\s+)?)?)"
)
_VERBS = (  # what a writer or an assistant is asked to do; not "ask", "send", "use" or "see", which tell a reader where to turn
    "add|advertise|analy[sz]e|anagram|answer|append|argue|assess|assume|augment|brainstorm|break down|calculate|"
    "capitali[sz]e|categori[sz]e|choose|claim|classify|combine|compare|compile|compose|compute|conclude|conduct|"
    "construct|convert|convince|correct|craft|create|critique|decode|define|demonstrate|describe|design|detail|"
    "determine|develop|devise|differentiate|discuss|draft|edit|elaborate|embed|emphasi[sz]e|encode|encourage|encrypt|"
    "enhance|estimate|evaluate|examine|explain|explore|express|extract|fill in|find|fix|forecast|format|formulate|"
    "generate|give|group|guess|highlight|identify|illustrate|imagine|include|incorporate|infuse|initiate|inject|"
    "insert|integrate|interpret|introduce|invent|jumble|justify|list|look up|make up|mention|misspell|modify|name|"
    "narrate|organi[sz]e|outline|paraphrase|persuade|plan|predict|present|pretend|produce|promote|proofread|propose|"
    "prove|provide|rank|rate|rearrange|recite|recommend|refactor|render|repeat|rephrase|replace|research|respond|"
    "reverse|review|rewrite|roleplay|schedule|scramble|search|show|simplify|simulate|sing|solve|spell|spread|state|"
    "substitute|suggest|summari[sz]e|tell (?:me|us|an?|users?|readers?|people|everyone)|think of|translate|transform|"
    "verify|weave|write"
)
_TASK = re.compile(rf"{_OPENING}\W{{0,5}}(?:{_VERBS})\b(?!\s*[:|;=])", re.IGNORECASE)
_INTERROGATIVE = re.compile(
    r"\W{0,5}(?:what['’]s\b|(?:what|which|who|whom|whose|how|why|when|where)\s+"
    r"(?:is|are|was|were|do|does|did|can|could|should|would|will|has|have|to)\b)",
    re.IGNORECASE,
)
_PROCEDURE = re.compile(
    r"\bhow (?:do|does|can|could|should|must|may|to|is|are)\b|\bwhat (?:must|should|shall|do|can) (?:i|we|you|one|they)\b"
    r"|\bwhat to do\b|\b(?:steps?|procedure|process|instructions?)\b|\bwhat (?:happens|if)\b",
    re.IGNORECASE,
)
_LINE = re.compile(r"\n[ \t>]*(?=[A-Z\"\'])")


def is_task(sentence: str) -> bool:
    """Return whether the sentence asks for something to be written or worked out, or asks a question."""
    return bool(_TASK.match(sentence) or _INTERROGATIVE.match(sentence))


def asks_how(question: str) -> bool:
    """Return whether the question asks for a procedure."""
    return bool(_PROCEDURE.search(question))


def task_within(text: str, start: int, end: int) -> int:
    """Return where in the sentence `text[start:end]` a task begins on a line of its own; `end` if nowhere.

    A line put into a text without a full stop before it runs on with the sentence there.
    """
    return next((line.start() for line in _LINE.finditer(text, start, end) if is_task(text[line.end() : end])), end)
