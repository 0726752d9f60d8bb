"""What somebody has, and what it is: "my X is Y", "Y is my new X", "I changed my X to Y", "my X is on 3 March"."""

from __future__ import annotations

import re

from rag.lore.items import Kind
from rag.lore.relation import Relation, without_now
from rag.words import find_words, word_set

OCCUPATION = re.compile(
    r"\b(?:\w+(?:eer|ist|ician|cian|yst|ographer|ologist|ineer)|nurse|teacher|doctor|lawyer|chef|cook|baker|waiter|waitress|"
    r"driver|pilot|writer|author|"
    r"actor|actress|dancer|singer|designer|developer|programmer|manager|director|accountant|analyst|consultant|carpenter|plumber|farmer|"
    r"soldier|officer|firefighter|police\w*|banker|cashier|clerk|secretary|assistant|coach|trainer|tutor|professor|lecturer|researcher|"
    r"student|architect|surgeon|vet|veterinarian|paramedic|counsel(?:l)?or|therapist|social worker|builder|electrician|mechanic|editor|"
    r"reporter|photographer|painter|filmmaker|producer|musician|barista|bartender|librarian|intern|entrepreneur|founder|ceo|cto|owner|"
    r"streamer|gamer|model|athlete|player|instructor|translator|interpreter|administrator|technician|operator|supervisor|recruiter)\b",
    re.IGNORECASE,
)
_MANY = word_set(
    "friend friends brother brothers sister sisters cousin cousins son sons daughter daughters child children kid kids dog dogs "
    "cat cats pet "
    "pets uncle aunt colleague coworker teammate neighbor neighbour goal goals plan plans dream hobby hobbies book passion idea "
    "thing problem "
    "issue hope way reason advice focus work life family day experience journey"
)
_LIVING = word_set(
    "husband wife partner boyfriend girlfriend spouse fiancé fiancée father dad mother mom mum brother sister son daughter child "
    "baby cousin "
    "uncle aunt grandfather grandpa grandmother grandma nephew niece friend roommate boss colleague coworker neighbor neighbour "
    "dog cat puppy "
    "kitten pet parrot hamster rabbit horse turtle teacher coach therapist doctor parents brothers sisters sons daughters kids "
    "children dogs cats"
)
"""Who has a name, a job and moods: "my sister is a nurse" gives her job, not who my sister is."""
_ONE = word_set("husband wife partner boyfriend girlfriend spouse fiancé fiancée boss father dad mother mom mum")
"""Of whom there is one at a time: another name is another person in the same place."""
_NOT_HELD = frozenset(
    {"mind", "heart", "feelings", "pleasure", "day", "favorite", "own", "life", "way", "time", "attention"}
)
_LATEST = re.compile(r"^(?:brand )?(?:new|current|latest|present|updated) ", re.IGNORECASE)
_OF = r"(?:my|our) (?P<of>[\w' -]{1,40}?)"
_SET = (
    r"changed|switched|updated|moved|increased|raised|lowered|reduced|cut|extended|shortened|postponed|rescheduled|renamed|set|bumped|"
    r"brought forward|pushed back"
)
_SHIFTED = rf"(?:(?:has|have|had|is|are|was|were|got|been|just|now|recently) )*(?:{_SET}|went (?:up|down)|gone (?:up|down)|rose|dropped|grew)"
_FROM = r"(?: (?:up|down|over|back))?(?: from [^,;]+?)? to (?P<v>[^,;]+)"

I_CHANGED = rf"^(?:i|we) (?:(?:have|had|just|now|recently|finally|also) )*(?:{_SET}) {_OF}{_FROM}"
IT_CHANGED = rf"^{_OF} {_SHIFTED}{_FROM}"
_DUE = (
    rf"(?:(?:has|have|will|be|is|are|was|were|got|been|now|just|due|set|planned|scheduled|booked|starts?|begins?|ends?|opens?|closes?|"
    rf"takes place|moves?|{_SET}) )+(?:(?:for|to|on|at|by|in) )*$"
)
_SET_FOR = re.compile(rf"^{_OF} {_DUE}", re.IGNORECASE)
_THING = re.compile(rf"^(?P<of>the [\w' .-]{{2,60}}?) {_DUE}", re.IGNORECASE)
_TURNED = re.compile(
    r"^(?P<v>(?!(?:Here|There|This|That|These|Those|It|He|She|They|What|Who|One|Such)\b)[A-Z][\w'-]*(?: [A-Z][\w'-]*){0,3}) "
    r"(?P<be>is|are|has become|became)(?: now)? (?P<mine>(?:my|our) (?!own\b)[\w' -]{3,40})$"
)


def turned(clause: str) -> str:
    """Return "Priya is my new boss" as "my new boss is Priya", and any other clause as it is."""
    match = _TURNED.match(clause)
    if match is None or match["mine"].lower().split()[-1] in _NOT_HELD:
        return clause
    return f"{match['mine']} {'are' if match['be'] == 'are' else 'is'} {match['v']}"


def changed(match: re.Match[str]) -> list[Relation]:
    """My X changed to Y, I changed my X to Y."""
    of, value = _held(match["of"]), without_now(match["v"])
    if not _holdable(of) or not value:
        return []
    return [Relation(of, value, _single(of), importance=0.8 if _single(of) else 0.6, began=True)]


def set_for(before: str, date: str) -> Relation | None:
    """Return "my X is on DATE" and "my X was moved to DATE" as the date of X; None if what stands before the date says something else."""
    match = _SET_FOR.match(before)
    if (
        match is None
        or not _holdable(of := _held(match["of"]))
        or of.split()[-1] in _LIVING | {"birthday", "anniversary"}
    ):
        return None
    return Relation(of, date, _single(of), importance=0.8, began=True)


def thing_of(before: str) -> str:
    """Return what "the release of 4.2 is planned for DATE" gives a date to, from what stands before the date; empty where it is no such statement."""
    match = _THING.match(before)
    return match["of"].lower() if match else ""


def mine(match: re.Match[str]) -> list[Relation]:
    """My X is Y."""
    of, value = _held(match["of"]), without_now(match["v"])
    if not _holdable(of):
        return []
    past, negated = match["be"].lower() in {"was", "were"}, bool(match["no"])
    if of.split()[-1] in _LIVING:
        return [_of_someone(of, value, negated=negated, past=past)]
    single = _single(of)
    kind = Kind.FACT if past else Kind.PROFILE
    importance = 0.8 if single or of.startswith("favorite ") else 0.6
    return [Relation(of, value, single and not past, negated, kind, importance, event=past)]


def named(match: re.Match[str]) -> list[Relation]:
    """My X is called Y."""
    return [_name(_held(match["of"]), without_now(match["v"]))]


def _held(of: str) -> str:
    """What is held, as relations name it: without "new", a favourite by one spelling."""
    of = _LATEST.sub("", re.sub(r"'s$", "", of.strip().lower()))
    words = of.split()
    if not any(word.startswith("favo") or word == "fave" for word in words):
        return of
    plain = (
        word
        for word in words
        if not word.startswith(("favo", "fave")) and word not in {"all-time", "absolute", "current"}
    )
    return f"favorite {' '.join(plain)}".strip()


def _holdable(of: str) -> bool:
    words = of.split()
    return 0 < len(words) <= 4 and words[-1] not in _NOT_HELD


def _single(of: str) -> bool:
    head = of.split()[-1]
    return head not in _MANY and not head.endswith("s")


def _name(of: str, value: str, *, negated: bool = False) -> Relation:
    return Relation(f"{of}'s name", value, of.split()[-1] in _ONE, negated, importance=0.8)


def _of_someone(of: str, value: str, *, negated: bool, past: bool) -> Relation:
    """My sister is Y: her name, her job, or something else about her."""
    words = find_words(value)
    if words and all(word[:1].isupper() for word in words[:2]) and len(words) < 4:
        return _name(of, value, negated=negated)
    if OCCUPATION.search(value) and value.lower().startswith(("a ", "an ")):
        return Relation(f"{of}'s job", value.split(" ", 1)[1], not past, negated)
    return Relation(f"{of} is", value, negated=negated, kind=Kind.FACT, importance=0.6, event=past)
