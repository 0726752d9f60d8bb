"""From what somebody typed to statements about themselves: sentences, parted into clauses that begin with I, we or my."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag.lore.belongings import turned
from rag.lore.english import (
    ABOUT_THE_TALK,
    ADVERBS,
    COMMANDS,
    FILLERS,
    HYPOTHETICAL,
    NO_SUBJECT_ING,
    NO_SUBJECT_PAST,
    NO_SUBJECT_PRESENT,
    PERSONS,
    SPLITS,
    TAG,
    TO_MEMORY,
    TRAILING,
)
from rag.lore.rewrite import expanded

_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\S)[^.!?\n]*)*[.!?]*['\"”)]*\s*")
_ABBREVIATED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|e\.g|i\.e|etc|[A-Z])\.\s*$")
_PICTURE = re.compile(
    r"[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F\u200d]+|[:;]-?[)(DPp](?!\w)|<3|\*\*|__|~~|^\s*(?:[-*•>]|\d+[.)])\s+",
    re.MULTILINE,
)
_SUBJECT = re.compile(r"\b(?:i|we|my|our)\b(?!['’])", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:(?:if|unless|when|after|before|in|at|during|as|on|for|with|because|since|while|growing up|last|next|this (?:week|month|year|"
    r"morning|afternoon|evening|summer|winter|spring|fall|time|past|coming)|every|each|by|over|until|from|"
    r"yesterday|today|tonight|tomorrow|(?:one|two|three|four|five|six|seven|eight|nine|ten|twenty|an?|some|many) (?:\w+ "
    r")?(?:years?|months?|weeks?|days?|weekends?|day|"
    r"night|morning|evening|decades?|couple|few|time)|the (?:other |next |day |first |last |year |summer |week )|earlier|back|"
    r"around|about|once|sometimes|usually|often|"
    r"\d+|first|january|february|march|april|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday|"
    r"saturday|sunday|christmas|besides|to|now)\b)",
    re.IGNORECASE,
)
_AND_I = re.compile(
    r"(?:(?<=^)|(?<=, )|(?<=\bWhen )|(?<=\bwhen ))(?P<who>(?i:my) [\w' -]{2,40}?|[A-Z]\w+(?: [A-Z]\w+)?),? and (?:I|me|myself)\b"
)
_BEHIND = re.compile(
    r"^(?:when|after|before|while|since|because|as|growing up|in|at|on|during|for|with|by)\b[^,]{2,70}, (?=(?:i|we|my|our)\b)",
    re.IGNORECASE,
)
_JUST = re.compile(r"^((?:I|we)(?: have| am| are| had)?) (?:(?:just|even|also) )+", re.IGNORECASE)
_LAST_DASH = re.compile(r"\s*(?:[–—]|\s-{1,2}\s|\.{3,}|…)\s*[^–—]*$")
_OPENS = re.compile(r"(?:if|unless|in case|when|while|after|before|since|because|as)\b", re.IGNORECASE)
_DANGLING = re.compile(
    r"(?:[\s,]+(?:and|because|but|so|when|until|with|that|or|to|while|if|the|a|of|for|like))+$", re.IGNORECASE
)
_SELF = re.compile(
    rf"\b(?:i|we|my|our|i'?m|gonna)\b|"
    rf"^\W*(?:[\w']+\W+){{0,4}}?(?:{'|'.join(NO_SUBJECT_PAST | NO_SUBJECT_ING | NO_SUBJECT_PRESENT.keys() | {'been', 'call'})})\b",
    re.IGNORECASE,
)
"""What a sentence of the speaker must have, with or without its subject."""
_OF_KIN = re.compile(r"\b(?:he|she|they)\b", re.IGNORECASE)
_NOMINATIVE = re.compile(r"\b(?:i|we)\b(?!['’])", re.IGNORECASE)
_FINITE = re.compile(r"\b(?:i|we|my|our|is|are|was|were|has|have|had|makes?|made)\b", re.IGNORECASE)
_ALONE = re.compile(
    r"(?:when|while|after|before|since|because|as|that|which|where|who|until|by|with|for|in|on|at)", re.IGNORECASE
)
_PERSONAL = re.compile(r"^(he|she|they|it)\b", re.IGNORECASE)
_KIN = re.compile(
    rf"\bmy ((?:\w+ )?(?:{'|'.join(sorted(PERSONS['he'] | PERSONS['she'], key=len, reverse=True))}))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A statement as it was meant: `lead` an adverbial in front, `text` from the subject on, both expanded, without a final stop."""

    lead: str
    text: str


def sentences(text: str) -> Iterator[str]:
    """The sentences of a chat message, with their stops, in order."""
    text = _PICTURE.sub(" ", text)
    pending = ""
    for found in _SENTENCE.finditer(text):
        pending += found[0]
        if not _ABBREVIATED.search(pending):
            if pending.strip():
                yield pending.strip()
            pending = ""
    if pending.strip():
        yield pending.strip()


def clauses(text: str, *, other: str) -> Iterator[Clause]:
    """Return the statements of a message whose subject is the speaker or something of the speaker's.

    Questions, what is only supposed, and what is addressed to the memory or is about the conversation are left out.

    Args:
        other: whom the speaker talks to, so that their name as an address can be dropped; empty where unknown.
    """
    kin: dict[str, str] = {}
    for sentence in sentences(text):
        asserted = _asserted(sentence)
        if not _SELF.search(asserted) and not (kin and _OF_KIN.search(asserted)):
            if COMMANDS.search(asserted) and TO_MEMORY.search(asserted):
                return
            continue
        whole = _without_address(expanded(asserted).rstrip(" .!,~"), other)
        if TO_MEMORY.search(FILLERS.sub("", whole, count=1)):
            if COMMANDS.search(whole):
                return  # whatever comes after such a sentence is suspect too
            continue
        yield from _of_sentence(whole, kin)
        for match in _KIN.finditer(whole):
            for pronoun, words in PERSONS.items():
                if match[1].lower().split()[-1] in words:
                    kin[pronoun] = f"my {match[1].lower()}"


def statements_of_things(text: str) -> Iterator[Clause]:
    """Return the sentences that begin with "the": statements of neither the speaker nor the listener, or what is only supposed."""
    for sentence in sentences(text):
        whole = FILLERS.sub("", expanded(_asserted(sentence)).rstrip(" .!,~"), count=1)
        if TO_MEMORY.search(whole) or COMMANDS.search(whole):
            return
        if whole[:4].lower() == "the " and not HYPOTHETICAL.search(whole) and not ABOUT_THE_TALK.search(whole):
            yield Clause("", whole)


def _asserted(sentence: str) -> str:
    """What of a sentence is no question: "I got a dog, right?", "I got a dog - want to see him?"; empty where all is one."""
    if not sentence.endswith("?"):
        return sentence
    if tag := TAG.search(sentence):
        return sentence[: tag.start()]
    return sentence[: dash.start()] if (dash := _LAST_DASH.search(sentence)) else ""


def _of_sentence(whole: str, kin: dict[str, str]) -> Iterator[Clause]:
    company = ""
    if joined := _AND_I.search(whole):
        company = joined["who"]
        whole = f"{whole[: joined.start()]}I{whole[joined.end() :]}"
    for part in _parts(whole):
        if clause := _clause(part, kin):
            yield Clause(clause.lead, f"{clause.text} with {company}") if company else clause
            company = ""


def _parts(whole: str) -> Iterator[str]:
    """The clauses, each with the adverbial in front of it: a comma behind "Last Friday" parts nothing."""
    lead = ""
    for part in SPLITS.split(whole):
        bare = FILLERS.sub("", part.strip(), count=1)
        if (
            bare
            and not lead
            and len(bare) < 90
            and _LEAD.match(bare)
            and (_OPENS.match(bare) or not _FINITE.search(bare))
        ):
            lead = bare
        elif bare:
            yield f"{lead}, {bare}" if lead and _SUBJECT.match(bare) else bare
            lead = ""


def _without_address(sentence: str, other: str) -> str:
    """Drop "Mel," and ", Caroline" where the listener is called that, or by the beginning of it."""
    if not other:
        return sentence
    first = re.escape(other.split()[0])
    short = re.escape(other.split()[0][:3])
    name = rf"(?:{first}|{short}\w{{0,3}})"
    sentence = (
        re.sub(rf"^((?:\w+[, ]+)?){name}\b[,!:]?\s+(?=\S)", r"\1", sentence)
        if re.match(rf"^(?:\w+[, ]+)?{name}\b,", sentence)
        else sentence
    )
    return re.sub(rf",? ?,\s*{name}(?=\s*(?:,|$| [-–—]))", "", sentence)


def _clause(part: str, kin: dict[str, str]) -> Clause | None:
    part = FILLERS.sub("", part.strip(" ,'()-"), count=1).strip(" ,")
    part = _DANGLING.sub("", TRAILING.sub("", part).strip(" ,.-"))
    if part.count('"') % 2:
        part = part.strip('"') if part[:1] == '"' or part[-1:] == '"' else part + '"'
    if len(part) < 6 or HYPOTHETICAL.search(part) or ABOUT_THE_TALK.search(part):
        return None
    if (pronoun := _PERSONAL.match(part)) and (person := kin.get(pronoun[1].lower())):
        return Clause("", person + part[pronoun.end() :])
    part = _with_subject(turned(part))
    behind = _BEHIND.match(part)
    subject = _SUBJECT.search(part, behind.end() if behind else 0)
    if subject is None:
        return None
    if subject.start() and subject[0].lower() in {"my", "our"}:  # "after finishing my script I got a letter"
        subject = _NOMINATIVE.search(part, subject.end()) or subject
    lead = part[: subject.start()]
    lead = FILLERS.sub("", lead + " ", count=1).strip(" ,") if lead else ""
    if _ALONE.fullmatch(lead):
        return None
    if lead and not all(word.lower() in ADVERBS for word in lead.split()) and (not _LEAD.match(lead) or len(lead) > 60):
        return None
    return Clause(lead, _JUST.sub(r"\1 ", part[subject.start() :]))


def _with_subject(part: str) -> str:
    """Give a statement that lacks its subject the speaker: "Just got back from Rome", "prefers metric units"."""
    words = part.split(maxsplit=4)
    at = 0
    while at < len(words) - 1 and words[at].lower().strip(",") in ADVERBS:
        at += 1
    verb = words[at].lower()
    if verb in NO_SUBJECT_PAST or verb == "been":
        return f"I {'have ' if verb == 'been' else ''}{part[0].lower()}{part[1:]}"
    if verb in NO_SUBJECT_ING and not re.search(
        r"\b(?:is|are|was|were|makes?|made|helps?|forward|brings?|feels?|can|must|will|would|has|lets?|to be|\w+s (?:me|us)|"
        r"gives?|gave|keeps?|means?)\b",
        part,
    ):
        return f"I am {part[0].lower()}{part[1:]}"
    if verb in NO_SUBJECT_PRESENT:
        return f"I {NO_SUBJECT_PRESENT[verb]} {part.split(maxsplit=1)[1]}" if at == 0 else part
    return part
