"""From the first person to the third: "I moved here with my dog" becomes "Ann moved here with Ann's dog".

The name every time instead of a pronoun: a fact is read alone, and nobody said whether Ann is a she.
"""

from __future__ import annotations

import re

from rag.lore.english import ADVERBS, BARE_PAST, CONTRACTIONS, IRREGULAR, MODALS, NOT_PAST

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d[\w.,:]*\d|\d|\s+|.", re.DOTALL)
_SUBJECTS = {"i", "we"}
_NO_VERB = re.compile(
    r"[^\w]|and$|or$|who$|that$|which$|in$|on$|at$|from$|to$|with$|as$|myself$|too$|all$", re.IGNORECASE
)
_CONTRACTED = re.compile(r"'|\b(?:gon|wan|got)\s?na\b|gotta|kinda|cause\b|cannot|\b\w+nt\b", re.IGNORECASE)
_BETWEEN = ADVERBS | {"no", "longer"}
_QUOTES = str.maketrans("’‘´`“”", "''''\"\"")


def expanded(text: str) -> str:
    """Return the text with straight quotes and without contractions."""
    text = text.translate(_QUOTES)
    if _CONTRACTED.search(text):
        for pattern, full in CONTRACTIONS:
            text = pattern.sub(full, text)
    return re.sub(r"\b(?:we|We) am\b", "we are", text)


def third_person(text: str, *, speaker: str, other: str) -> str:
    """Return an expanded clause as said about `speaker`; `you` is `other`, and stays where that is empty."""
    tokens = _TOKEN.findall(text)
    said: list[str] = []
    bend = False  # the next verb belongs to a subject that was plural or first person
    for at, token in enumerate(tokens):
        word = token.lower()
        following = next((later.lower() for later in tokens[at + 1 :] if not later.isspace()), "")
        if word in _SUBJECTS and following != "'":
            said.append(speaker)
            bend = not (at >= 2 and tokens[at - 2].lower() == "and")
        elif word in {"my", "our", "mine", "ours"}:
            said.append(_possessive(speaker))
        elif word in {"me", "us"}:
            said.append(speaker)
        elif word in {"myself", "ourselves"}:
            said.append("themselves")
        elif word in {"you", "ya"} and other:
            said.append(other)
            bend = following in {"are", "were", "have", "do"}
        elif word in {"your", "yours"} and other:
            said.append(_possessive(other))
        elif bend and not token.isspace() and word not in _BETWEEN and not word.endswith("ly"):
            said.append(_singular(token) if token.isalpha() and not _NO_VERB.match(word) else token)
            bend = False
        else:
            said.append(token)
    return "".join(said)


def _possessive(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def _singular(verb: str) -> str:
    """The verb as it follows he or she; what is past or a modal stays."""
    word = verb.lower()
    if word in {"am", "are"}:
        return "is"
    if word == "were":
        return "was"
    if word == "have":
        return "has"
    if (
        word in MODALS
        or word in BARE_PAST
        or word in IRREGULAR
        or (word.endswith(("ed", "ing")) and word not in NOT_PAST)
    ):
        return verb
    if word.endswith(("s", "sh", "ch", "x", "z", "o")):
        return f"{verb}es"
    if word.endswith("y") and word[-2:-1] not in {"a", "e", "i", "o", "u"}:
        return f"{verb[:-1]}ies"
    return f"{verb}s"


def lemma(verb: str) -> str:
    """Return the verb's base form as well as rules tell: `went` go, `hiking` hike, `tried` try."""
    word = verb.lower()
    if word in IRREGULAR or word in NOT_PAST:
        return IRREGULAR.get(word, word)
    for ending, least in (("ying", 5), ("ing", 5), ("ied", 5), ("ed", 4), ("ies", 5), ("es", 5), ("s", 4)):
        if not word.endswith(ending) or len(word) < least:
            continue
        bare = word[: -len(ending)]
        if ending in {"ied", "ies", "ying"}:
            return bare + "y"
        if ending == "es" and not bare.endswith(("s", "sh", "ch", "x", "z", "o")):
            return word[:-1]
        if ending in {"ed", "ing"}:
            return _restored(bare)
        return bare if not word.endswith("ss") else word
    return word


def _restored(bare: str) -> str:
    """The base of what is left of -ed and -ing. A short vowel would have doubled its consonant: one syllable lost an e."""
    if len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "lsfz":
        return bare[:-1]
    silent = bare.endswith(
        (
            "at",
            "iv",
            "ov",
            "uc",
            "ag",
            "chang",
            "rang",
            "rad",
            "ur",
            "iz",
            "as",
            "us",
            "v",
            "c",
            "rg",
            "dg",
            "tl",
            "bl",
            "pl",
        )
    ) and not bare.endswith(("oat", "eat", "elp", "ocus"))
    return bare + "e" if silent or _ONE_SYLLABLE.fullmatch(bare) else bare


_ONE_SYLLABLE = re.compile(r"[^aeiou]*[aeiou][^aeiouwxyh]")
