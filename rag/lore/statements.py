"""A clause as a statement: its subject, verb and tense, and whether it says enough to be worth remembering."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.lore.english import ADJECTIVES, ADVERBS, GENERIC, IRREGULAR, NEEDS_MORE, NOT_PAST
from rag.lore.rewrite import lemma
from rag.words import find_words, word_set

_SUBJECT = re.compile(r"^(?:i|we)\b|^(?:my|our)\b", re.IGNORECASE)
_NOT_PAST = word_set(
    "am are is been being has having done does gone doing getting making writing losing running sitting winning swimming riding "
    "driving choosing baking moving using living hiking dancing knitting begun driven eaten flown forgotten frozen given grown hidden "
    "known lain ridden risen sewn shaken shown spoken stolen sung sworn swum taken thrown torn woken worn written mown bitten "
    "broken chosen "
    "drawn drunk fallen gotten become come run seen sworn"
)
_AUXILIARIES = word_set("am are is was were be been being have has had do does did will")
_BARE_OBJECT = re.compile(
    r"^(?:(?:it|them|him|there|here|so|one|both)\b|(?:her|that|this|those|these|all)\b(?:$|(?=,| (?:and|for|to|in|at|on|with|"
    r"when|so|is|as|because|from|one|ones|by|last|over)\b)))",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"^(?:have (?:a lot|a (?:blast|ball|great|good|feeling|chance|long|few)|no\b|fun|so|some (?:fun|great)|the (?:chance|best|time))\b"
    r"|live (?:my|our)\b|stop (?:thinking|believing)|(?:love|like|enjoy) (?:seeing|hearing|how|what|when|that|the (?:way|feeling|"
    r"idea)|being able)|know (?:that|how|what|why|it|i\b|we\b|the feeling|\w+ (?:is|are|can|will))|go (?:to (?!(?:the|an?|my|our|"
    r"see|visit|(?-i:[A-Z])))|well|great|through|for it|with the flow)|do (?:my|our) (?:best|part)|keep\b|put in|look (?:forward|"
    r"up|back|into (?:it|that))"
    r"|take (?:the time|care|time|a (?:break|moment))|get (?:the chance|to (?:know|be|have)|a lot|back (?:to|into) it|used)|stay "
    r"(?:motivated|positive|focused|strong|on track|calm|true|busy)|make (?:sure|something|a (?:great|good|perfect|huge|big) "
    r"(?:team|pair|impact|difference)|a (?:difference|change)|it|progress|me\b|us\b|my day|memories|connections|the most|time)"
    r"|come (?:a long|so far|true)|feel\b|see (?:how|what|why|that)|give (?:it|back|up)|find (?:it|that|out)|be (?:like|about to|"
    r"off)|work (?:hard|on (?:it|that|myself|one))"
    r"|learn (?:a lot|so much|that|how important|to (?:be|appreciate|love|trust)))",
    re.IGNORECASE,
)
_INNER = re.compile(r"to (\w+)\b|(\w+ing)\b", re.IGNORECASE)
_POINTING = re.compile(
    r"\b(?:this|that|these|those) (?=(?:\w+ ){0,2}\w+)(?!(?:i|we|he|she|they|is|are|was|were|has|have|can|will)\b)",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"(?:make (?:an?|some|the|this|my|our) (?!\w*(?:difference|change|impact|progress|point|decision|mistake|effort|name|way|living))"
    r"|get (?:promoted|hired|accepted|rejected|injured|robbed|sick|pregnant|engaged|lost|fired|published|a (?:new |summer |"
    r"part-time )?job))\b|(?:start|begin|stop|quit|finish) \w+ing\b|(?:go|come|fly|drive|move|travel) (?:back )?to (?:the|an?|my|"
    r"our|(?-i:[A-Z]))",
    re.IGNORECASE,
)
"""Says something with one concrete word: "started volunteering", "went to the beach"."""
_SKILL = re.compile(r"(?:speak|play|cook|swim|drive|ride|sing|dance|sew|knit|code|type|fly|sail|ski|bake)$")
"""What one can do is a fact; that one can see, get or imagine something is none."""
_UNNAMED = re.compile(r"\b(?:it|them|him|they|her|this(?= (?:at|in|on|for|to|with|and)\b|$))\b", re.IGNORECASE)
"""What nothing in the statement names."""
_PLACE = re.compile(r"^(?:in|at|on|off|near|with|back|out|up|part)\b", re.IGNORECASE)
_GUSH = re.compile(
    r"^(?:so|really|super|very|such|always|all|just|too|like|pretty|also|definitely|truly|absolutely|totally|everything|what|that|"
    r"how|to|it|there|the best|still)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A clause read: `verb` in its base form, `rest` what follows it.

    `tense` is "past" (it happened or held, and is over), "perfect", "present", "progressive" or "future".
    """

    subject: str
    verb: str
    tense: str
    negated: bool
    rest: str


def read(text: str) -> Statement | None:
    """Return the statement of an expanded clause that begins with I, we or my; None where no verb is found."""
    subject, tokens = _parted(text.split())
    if not subject:
        return None
    negated, auxiliaries = False, []
    while tokens:
        word = tokens[0].lower().strip(",")
        if word in {"not", "never"}:
            negated = True
        elif word == "no" and tokens[1:2] == ["longer"]:
            negated, tokens = True, tokens[1:]
        elif word in {"do", "does", "did", "can", "will"} and _helps(tokens[1:]):
            auxiliaries.append(word)
        elif word in {"used"} and len(tokens) > 1 and tokens[1] == "to":
            tokens = tokens[1:]
            auxiliaries.append("used")
        elif word in _AUXILIARIES and _more_verb(tokens[1:]):
            auxiliaries.append(word)
        elif word not in ADVERBS and not (word.endswith("ly") and word not in {"fly", "rely", "apply", "supply"}):
            break
        tokens = tokens[1:]
    if not tokens:
        return None
    verb = tokens[0].lower().strip(",")
    if not verb.isalpha():
        return None
    if "can" in auxiliaries and not negated and not _SKILL.match(verb):
        return None
    return Statement(subject, lemma(verb), _tense(verb, auxiliaries), negated, " ".join(tokens[1:]))


def worth(statement: Statement, *, dated: bool, other: str = "") -> bool:
    """Return whether the statement says something concrete about its subject."""
    rest = statement.rest
    concrete = specific(rest, other)
    if statement.subject.lower() not in {"i", "we"}:
        concrete += specific(statement.subject)[:1]
    if statement.verb == "be" and not _says_what(statement, len(concrete) + dated):
        return False
    if _BARE_OBJECT.match(rest) or (_VAGUE.match(f"{statement.verb} {rest}") and not (dated and len(concrete) > 1)):
        return False
    if re.search(r"\byou\b|\byour\b", rest, re.IGNORECASE) and (len(concrete) < 2 or statement.verb in NEEDS_MORE):
        return False
    telling = _STEPS.match(f"{statement.verb} {rest}") is not None or not {statement.verb, f"{statement.verb}ed"} & (
        GENERIC | NEEDS_MORE.keys()
    )
    if statement.verb == "have" and rest.startswith("to ") and len(concrete) < 3:
        return False
    if (inner := _INNER.match(rest)) and NEEDS_MORE.get(lemma(inner[1] or inner[2]), 0) > 90:
        return False
    least = max(2, NEEDS_MORE.get(statement.verb, 1) + 1) + len(_UNNAMED.findall(rest)) + len(_POINTING.findall(rest))
    named = any(word[:1].isupper() or word.isdigit() for word in concrete)
    return bool(concrete) and len(concrete) + dated + named + telling >= least


def specific(text: str, other: str = "") -> list[str]:
    """Return the words of `text` that make a statement concrete."""
    drop = other.lower().split()
    return [
        word
        for word in find_words(text)
        if re.sub(r"'s?$", "", word.lower()) not in GENERIC and word.lower() not in drop
    ]


def gushes(value: str) -> bool:
    """Whether a predicate only praises: "so supportive", "always there for me"."""
    return bool(_GUSH.match(value)) or not specific(value)


def _says_what(statement: Statement, concrete: int) -> bool:
    rest = re.sub(r"^(?:(?:now|also|currently|still|just|already|officially) )+", "", statement.rest)
    if ADJECTIVES.match(rest):
        return True
    if statement.subject.lower() not in {"i", "we"}:
        return not gushes(rest)
    if _PLACE.match(rest):
        return concrete >= 2
    return bool(re.match(r"(?:an?|the) ", rest)) and concrete >= 2


def _parted(words: list[str]) -> tuple[str, list[str]]:
    if not words or not _SUBJECT.match(words[0]):
        return "", []
    if words[0].lower() in {"i", "we"}:
        return words[0], words[1:]
    for at in range(2, min(len(words), 7)):
        word = words[at].lower().strip(",")
        if word in {"who", "that", "which", "to", "of", "and", "for", "with", "in", "on", "at"}:
            if word in {"to", "for", "with", "in", "on", "at"}:
                return "", []
            continue
        if (
            word in IRREGULAR
            or word in _AUXILIARIES
            or word.endswith("ed")
            or word in _PRESENT
            or word in {"can", "will", "not"}
        ):
            return " ".join(words[:at]), words[at:]
    return "", []


_PRESENT = word_set(
    "loves likes hates works lives wants needs plays goes says makes teaches runs studies enjoys keeps has means owns speaks eats "
    "thinks knows "
    "comes takes helps gets starts prefers love like live work want need play go have sleeps writes reads sings paints sells "
    "bakes cooks drives uses"
)


def _more_verb(following: list[str]) -> bool:
    """Whether an auxiliary is followed by the verb that it helps."""
    for token in following[:4]:
        word = token.lower().strip(",")
        if word in {"not", "never"} or word in ADVERBS or word.endswith("ly"):
            continue
        return (
            word in IRREGULAR
            or word in _AUXILIARIES
            or (word.endswith(("ed", "ing")) and len(word) > 4 and word not in _NO_PARTICIPLE)
        )
    return False


def _helps(following: list[str]) -> bool:
    """Whether do, can or will stands before another verb: "did not go", not "did my homework"."""
    first = following[0].lower() if following else ""
    return first.isalpha() and first not in {
        "a",
        "an",
        "the",
        "my",
        "our",
        "some",
        "it",
        "that",
        "this",
        "all",
        "so",
        "well",
        "in",
        "for",
        "at",
    }


_NO_PARTICIPLE = word_set(
    "excited thrilled tired interested bored scared worried blessed grounded married engaged divorced retired stoked pumped "
    "amazed motivated inspired "
    "determined relaxed convinced surprised pleased touched honored honoured delighted overwhelmed stressed exhausted relieved "
    "dedicated focused mesmerized fascinated captivated blown amused moved humbled "
    "something anything nothing everything evening morning disappointed psyched frustrated hooked committed obsessed confused "
    "nothing wedding building king amazing"
)


def _tense(verb: str, auxiliaries: list[str]) -> str:
    helped = set(auxiliaries)
    if "used" in helped:
        return "past"
    if "will" in helped:
        return "future"
    if helped & {"have", "has"}:
        return "perfect"
    if helped & {"was", "were", "did", "had"}:
        return "past"
    if helped & {"am", "are", "is"}:
        return "progressive" if verb.endswith("ing") else "present"
    if helped & {"do", "does"}:
        return "present"
    past = (verb in IRREGULAR and verb not in _NOT_PAST and not verb.endswith("ing")) or (
        verb.endswith("ed") and len(verb) > 3 and verb not in NOT_PAST
    )
    return "past" if past else "present"
