"""What a question asks for: its parts, the kind of answer, the codes and years that it names, whether it looks back or wants two things."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?"
    r"|dec(?:ember)?)"
)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|often|far|old|big|large|high|fast|tall|wide|deep|heavy|soon|quickly|late|early|expensive)\b"
    r"|\b(?:what|which) (?:percentage|share|number|amount|proportion|rate|discount|price|temperature|budget|salary|turnover|revenue"
    r"|limit|size|speed|sum)\b|\bpercent(?:age)?\b|\bup to (?:what|which|how)\b"
    r"|\bwhat (?:does|do|did|is|are|was|were|will)\b.*\b(?:cost|price|pay|earn|salary|rate|fee|budget|limit|share|discount|length"
    r"|minimum|maximum)\b|\bwhat(?:'s| is| are) the (?:minimum|maximum|most|least|lowest|highest|number|size)\b",
    re.IGNORECASE,
)
_ASKS_MOMENT = re.compile(
    r"\bwhen\b|\b(?:what|which) (?:date|day|month|year|century|decade|week|quarter|time)\b|\b(?:by|from|until|since|on) which\b",
    re.IGNORECASE,
)
_ASKS_NAME = re.compile(
    r"\bwho(?:m|se)?\b|\bwhere\b|\bname of\b|\bwhich (?:person|manufacturer|company|supplier|customer|auditor|bank|lawyer|firm|hospital"
    r"|team|city|country|office)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|half|once|twice|double"
    r"|none|no|never)\b",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    rf"\d|\b(?:{_MONTH}|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tomorrow|yesterday|century|(?:day|week|month|year|hour)s?"
    r"|noon|midnight|morning|evening|quarter|end of|when|once|after|before|until|during)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?<=[a-z,;:)] )[A-Z][\w'-]+|\b[A-Z][\w'-]+ [A-Z][\w'-]+"
    r"|(?i:\b(?:manager|team|head|lead|desk|officer|director|board|committee|employee|owner|engineer|executive|company|department"
    r"|supplier|customer|anyone|nobody|everyone|member|king|queen|people)\w*\b)"
)
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)+\b|\b[A-Z]{1,4}\d+\b")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_LOOKS_BACK = re.compile(
    r"\b(?:previous(?:ly)?|former(?:ly)?|old|older|before|last year|earlier|used to|until|originally|at first|was|were|did|had)\b",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\b(?:compar\w+|chang(?:e|es|ed)|differ\w*|before and after|between the two|ris(?:e|en)|rose|fall(?:en)?|fell|grow[ns]?|grew"
    r"|from \d{4} to \d{4})\b",
    re.IGNORECASE,
)
_FRAMING = re.compile(
    r"(?:previous(?:ly)?|former(?:ly)?|old|older|earlier|originally|last|this|now|today|current(?:ly)?|compared?|between|two|both"
    r"|chang(?:e|es|ed)|mov(?:e|ed)|differ\w*|ris(?:e|en)|rose|fall(?:en)?|fell|grow[ns]?|grew)",
    re.IGNORECASE,
)
_SECOND_PART = re.compile(
    r",?[ \t]+and[ \t]+(?=(?:(?:at|by|for|from|in|on|since|to|until|with)\s+)?(?:how|what|when|where|which|who|whom|whose|why)\b)",
    re.IGNORECASE,
)
_PRONOUNS = frozenset(
    "it its that this those these they them their he she his her him one ones there then same former latter".split()  # noqa: SIM905
)
_LEANING = _PRONOUNS | {"now", "each"}
_ALONE = 4
"""Words from which on a part can stand alone."""


class Asked(StrEnum):
    """The kind of thing that answers."""

    NUMBER = "number"
    MOMENT = "moment"
    NAME = "name"
    ANYTHING = "anything"

    def has(self, text: str) -> bool:
        """Return whether `text` holds such a thing."""
        pattern = {Asked.NUMBER: _NUMBER, Asked.MOMENT: _MOMENT, Asked.NAME: _NAME}.get(self)
        return pattern is None or bool(pattern.search(text))


@dataclass(frozen=True, slots=True)
class Question:
    """One question, read by rules for English; what they do not know counts as asking for anything.

    `codes` are designations such as HV-40 or P1, lower-cased, that an answer has to be about; `years` those it names; `looks_back` says
    that what held earlier may be wanted, `wants_two` that two things are which one sentence hardly holds.
    """

    text: str
    asked: Asked
    codes: tuple[str, ...]
    years: frozenset[str]
    looks_back: bool
    wants_two: bool


def read_question(text: str) -> Question:
    """Return what `text` asks for."""
    kinds = ((_ASKS_NUMBER, Asked.NUMBER), (_ASKS_MOMENT, Asked.MOMENT), (_ASKS_NAME, Asked.NAME))
    return Question(
        text=text,
        asked=next((kind for pattern, kind in kinds if pattern.search(text)), Asked.ANYTHING),
        codes=tuple(code.lower() for code in _CODE.findall(text)),
        years=frozenset(_YEAR.findall(text)),
        looks_back=bool(_LOOKS_BACK.search(text)),
        wants_two=bool(_COMPARES.search(text)) or len(_SECOND_PART.split(text)) > 1,
    )


def frames(word: str) -> bool:
    """Return whether the word sets the question in time or compares, so that an answer need not hold it: "now", "previous", "change"."""
    return bool(_FRAMING.fullmatch(word))


def parts(question: str) -> list[str]:
    """Return the questions that "and" joins, in order, or the whole where one leans on what stands before it.

    "How long is X, and who decides on Y?" has two parts; "What did X cost, and what does it cost now?" has one.
    """
    pieces = [piece.strip() for piece in _SECOND_PART.split(question) if piece.strip()]
    return pieces if pieces and all(map(_stands_alone, pieces[1:])) else [question]


def _stands_alone(piece: str) -> bool:
    words = piece.lower().rstrip("?.! ").split()
    return len(words) >= _ALONE and not _LEANING.intersection(words)


def standalone(question: str, history: Sequence[Mapping[str, str]]) -> str:
    """Return what to search for: the question, after its predecessor in `history` where it leans on it (a pronoun, "and ...", few words).

    Only the user's turns are read: an assistant's may hold what the user may not read any more.
    """
    words = question.lower().replace("?", " ").replace(",", " ").split()
    earlier = [turn["content"] for turn in history if turn.get("role") == "user" and turn.get("content", "").strip()]
    leans = (
        bool(_PRONOUNS.intersection(words))
        or words[:2] in (["what", "about"], ["how", "about"])
        or words[:1] == ["and"]
    )
    return f"{earlier[-1]}\n{question}" if earlier and (leans or len(words) <= 3) else question
