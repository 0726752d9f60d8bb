"""What a statement relates: patterns for the relations that a profile is made of, over clauses in the first person.

The first pattern that matches decides. What none matches may still be a fact, named by its verb (`rag.lore.statements`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rag.lore.belongings import I_CHANGED, IT_CHANGED, OCCUPATION, changed, mine, named
from rag.lore.items import Kind
from rag.lore.relation import Relation, without_now
from rag.lore.statements import specific
from rag.words import find_words

_ADV = (
    r"(?:(?:now|also|just|recently|finally|still|currently|really|both|always|absolutely|actually|totally|only|mostly|usually|"
    r"generally|definitely|much|already|originally|even|have|have been|been|am|are|do) )*"
)
_I = rf"^(?:i|we) {_ADV}"
_NO = r"(?P<no>(?:do|did|does|am|are|was) not (?:really |even |actually )?|never |no longer |can ?not )?"
_V = r"(?P<v>[^,;]+)"
_ENDED = re.compile(r"\b(?:no longer|any ?more|any longer|not .{1,60}\b(?:these days|now))\b", re.IGNORECASE)


def relation_of(clause: str) -> Iterator[Relation]:
    """Yield the relations that a clause in the first person states, the stated one first, then what follows from it."""
    for pattern, read in _TABLE:
        if match := pattern.match(clause):
            found = read(match)
            yield from found
            if found:
                return


def _value(match: re.Match[str]) -> str:
    return match["v"].strip(" .!")


def _simple(
    name: str, *, single: bool = False, importance: float = 0.7, kind: Kind = Kind.PROFILE
) -> Callable[[re.Match[str]], list[Relation]]:
    def read(match: re.Match[str]) -> list[Relation]:
        negated = bool(match.groupdict().get("no"))
        ended = bool(_ENDED.search(match[0]))
        bare = re.sub(r"\b(?:here|there|no longer)\b", "", _value(match), flags=re.I)
        value = without_now(re.sub(r"\b(?:any ?more|any longer|these days|now)\b", "", bare, flags=re.I))
        return [Relation(name, value, single, negated or ended, kind, importance, ended=ended)]

    return read


def _moved(match: re.Match[str]) -> list[Relation]:
    gone, value = match.groupdict().get("gone"), match.groupdict().get("v")
    if value:
        return [Relation("lives in", value.strip(), True, importance=0.8, began=True)]
    return [
        Relation("move", f"from {gone}", kind=Kind.FACT, event=True),
        Relation("lives in", (gone or "").strip(), True, negated=True, ended=True, implied=True),
    ]


def _used_to(match: re.Match[str]) -> list[Relation]:
    from dataclasses import replace

    return [replace(found, ended=True) for found in relation_of(f"I {match['v']}")]


def _job(match: re.Match[str]) -> list[Relation]:
    value = _value(match)
    if not OCCUPATION.search(value) or len(find_words(value)) > 9:
        return []
    return [
        Relation(
            "job", value, True, bool(match.groupdict().get("no")), importance=0.8, began="began" in match.re.groupindex
        )
    ]


def _job_lost(match: re.Match[str]) -> list[Relation]:
    at = (match.groupdict().get("at") or "").strip()
    held = (match.groupdict().get("v") or "").strip()
    told = [Relation("lose job", " ".join(filter(None, (held, at))) or "job", kind=Kind.FACT, event=True)]
    gone = [Relation("job", held, True, negated=True, ended=True, implied=True)]
    return told + gone + [Relation("works at", at, True, negated=True, ended=True, implied=True)]


def _tastes(match: re.Match[str]) -> list[Relation]:
    value, verb = _value(match), match["verb"].lower()
    negated = bool(match["no"])
    against = verb.startswith(("hate", "dislike", "detest", "can not stand")) != negated
    value = re.sub(r"\b(?:any ?more|any longer|these days|now)\b", "", value).strip()
    if (
        value.split()[0].lower()
        in {"it", "that", "this", "them", "you", "how", "when", "what", "your", "those", "these", "the"}
        and len(value.split()) < 3
    ):
        return []
    if value.lower().startswith(
        ("how ", "what ", "when ", "your ", "you ", "that ", "it ", "the way ", "seeing ", "hearing ")
    ):
        return []
    if re.search(r"\b(?:am|are|been|is) (?:\w+ly )?(?:like|love|hate)\b", match[0]):  # "we are like a family"
        return []
    if _ENDED.search(match[0]):
        return [Relation("likes", value, negated=True, ended=True)]
    return [Relation("dislikes" if against else "likes", value)]


def _prefers(match: re.Match[str]) -> list[Relation]:
    value = without_now(_value(match))
    than = re.split(r" (?:to|over|rather than|instead of) ", value, maxsplit=1)
    chosen = than[0].strip()
    sides = (
        sorted(side.strip().lower() for side in than)
        if len(than) > 1
        else [find_words(chosen)[-1].lower()]
        if find_words(chosen)
        else []
    )
    return [Relation(f"prefers: {' / '.join(sides)}", chosen, True, negated=bool(match["no"]))] if sides else []


def _marriage(match: re.Match[str]) -> list[Relation]:
    word = match["v"].lower().split()[0]
    return [
        Relation(
            "marital status",
            {"seeing": "dating"}.get(word, word),
            True,
            bool(match["no"]),
            importance=0.8,
            began="began" in match.re.groupindex,
        )
    ]


def _parted(match: re.Match[str]) -> list[Relation]:
    who = (match.groupdict().get("v") or "").strip()
    return [
        Relation("break up", who, kind=Kind.FACT, event=True),
        Relation("marital status", "", True, negated=True, ended=True, implied=True),
    ]


def _rid(match: re.Match[str]) -> list[Relation]:
    value = _value(match)
    return [
        Relation("sell", value, kind=Kind.FACT, event=True),
        Relation("has", re.sub(r"^my |^our ", "", value), negated=True, ended=True, implied=True),
    ]


def _uses(match: re.Match[str]) -> list[Relation]:
    """A tool that somebody uses: a name, not "my talent" or "painting to relax"."""
    value = without_now(_value(match))
    return [Relation("uses", value, negated=bool(match["no"]), importance=0.6)] if specific(value) else []


def _has(match: re.Match[str]) -> list[Relation]:
    value = _value(match)
    if match["verb"].lower() == "had" or re.match(
        r"(?:not|to|been|\w+ed|got|no|so|such|any|had|lots?|plenty|enough|never|a (?:lot|great|good|blast|ton|few|bit|nice|"
        r"wonderful|feeling|chance|love|such))\b",
        value,
        re.I,
    ):
        return []
    return [Relation("has", value, negated=bool(match["no"]), importance=0.6)]


def _plans(match: re.Match[str]) -> list[Relation]:
    value, negated = _value(match), bool(match.groupdict().get("no"))
    if _NO_PLAN.match(value):
        return []
    return [
        Relation(
            "plans",
            value,
            negated=negated,
            kind=Kind.FACT,
            importance=0.6,
            event=True,
            ended=negated and bool(_ENDED.search(match[0])),
        )
    ]


_NO_PLAN = re.compile(
    r"(?:also |definitely |always |just |still |really |continue to )*(?:keep|try|do (?:my|our|the|a|some|it|that|this|well|"
    r"great)|make (?:sure|it|a (?:difference|change|impact))|be "
    r"(?!an?\b|in\b|at\b|\w+ing\b)|have (?:fun|a (?:great|good|blast|safe))|give (?:it|up|back|that|them|you)|get (?:there|"
    r"through|back|to know|better)|let\b|need|miss|think|"
    r"never|support|cherish|remember|take (?:care|it|on|things|your|that)|see (?:it|what|how|where|you|if|them)|succeed|help "
    r"(?:you|others|people)|make (?:my|our|this|that|these) "
    r"(?:dreams?|happen)|inspire|share (?:it|that|this|my)|learn more|enjoy|show|go for it|love\b|look\b|check|use (?:it|that|"
    r"this)|bring (?:it|joy)|tell|ask|say|know|feel)\b",
    re.IGNORECASE,
)
"""Intentions that name nothing that could happen on a day."""


def _cancelled(match: re.Match[str]) -> list[Relation]:
    value = re.sub(r"^(?:my|our|the) (?:plans? (?:to|for) )?", "", _value(match))
    return [Relation("plans", value, negated=True, ended=True, kind=Kind.FACT)]


def _stopped(match: re.Match[str]) -> list[Relation]:
    from rag.lore.rewrite import lemma

    first, _, rest = _value(match).partition(" ")
    if not first.endswith("ing"):
        return [Relation("stop", _value(match), kind=Kind.FACT, event=True)]
    known = list(relation_of(f"I {lemma(first)} {rest}".strip()))
    name, value = (known[0].name, known[0].value) if known else (lemma(first), rest)
    return [Relation(name, value, negated=True, ended=True)]


_TABLE: list[tuple[re.Pattern[str], Callable[[re.Match[str]], list[Relation]]]] = [
    (re.compile(pattern, re.IGNORECASE), read)
    for pattern, read in (
        (
            rf"{_I}(?:have|been diagnosed with|suffer from|got) (?P<v>(?:type \d )?(?:asthma|diabetes|epilepsy|migraines?|"
            rf"arthritis|adhd|dyslexia|celiac|cancer|anxiety|"
            r"depression|insomnia|an? [\w ]*(?:allergy|allergies|disorder|disease|syndrome|condition))\b[^,;]*)",
            _simple("health", importance=0.9),
        ),
        (I_CHANGED, changed),
        (IT_CHANGED, changed),
        (r"^(?:i|we) used to (?P<v>.+)", _used_to),
        (
            rf"{_I}(?:stopped|quit|gave up|given up) (?P<v>\w+ing\b[^,;]*|(?:smoking|alcohol|meat|coffee|sugar)\b[^,;]*)",
            _stopped,
        ),
        (
            rf"{_I}{_NO}(?:live|lived|living|reside) (?:in |at |on |near |(?=(?:t?here|abroad|alone|downtown)\b)){_V}",
            _simple("lives in", single=True, importance=0.8),
        ),
        (
            rf"{_I}(?:moved|relocated|moving) (?:back |over |out |here |away )*from (?P<gone>[^,;]+?) (?:back )?to {_V}",
            _moved,
        ),
        (rf"{_I}(?:moved|relocated) (?:back |over |out |away )*(?:to|into) {_V}", _moved),
        (rf"{_I}(?:moved|relocated) (?:back |over |out |here |away )*from (?P<gone>[^,;]+)", _moved),
        (rf"{_I}(?:was |were )?(?:from|come from|originally from) {_V}", _simple("is from")),
        (rf"{_I}(?:was |were )?(?:born|raised) (?:and raised )?(?:in|on|at) {_V}", _simple("born")),
        (rf"{_I}(?:grew up) (?:in|on|at|near) {_V}", _simple("grew up in")),
        (
            rf"{_I}(?P<began>became|got a (?:new )?job as|got promoted to|was promoted to|got hired as|was hired as|started "
            rf"(?:working )?as|started a (?:new )?job as) (?:an? |the )?{_V}",
            _job,
        ),
        (
            rf"{_I}(?:quit|left|lost|resigned from|retired from) (?:my|our|the) (?:\w+ )?(?:job|position|work)(?: (?:at|with) "
            rf"(?P<at>[^,;]+?)| as (?:an? )?(?P<v>[^,;]+?))*$",
            _job_lost,
        ),
        (rf"{_I}(?:was|got|were) (?:laid off|fired|let go)(?: (?:from|by|at) (?P<at>[^,;]+?))?$", _job_lost),
        (rf"{_I}{_NO}(?:work|working|worked) as (?:an? |the )?{_V}", _job),
        (rf"{_I}{_NO}(?:work|working|(?<=have )worked) (?:at|for|with) {_V}", _simple("works at", single=True)),
        (
            rf"{_I}(?P<began>(?:started|began|got) (?:work(?:ing)? |a (?:new )?job )?(?:at|for|with)|joined) (?P<v>(?-i:[A-Z])[^,;]+)",
            lambda m: [Relation("works at", _value(m), True, began=True)],
        ),
        (rf"{_I}(?P<no>not )?(?:an? ){_V}", _job),
        (rf"{_I}(?P<v>\d{{1,3}})(?: years?(?: |-)olds?)?$", lambda m: [Relation("age", m["v"], True)]),
        (rf"{_I}(?:turned|turning) (?P<v>\d{{1,3}})\b", lambda m: [Relation("age", m["v"], True, began=True)]),
        (
            r"^my name is (?P<v>[^,;]+)|^(?:people |everyone |friends )?call me (?P<v2>[^,;]+)",
            lambda m: [Relation("name", m["v"] or m["v2"], True, importance=0.9)],
        ),
        (
            rf"{_I}(?P<no>not )?(?P<v>(?:married|engaged|single|divorced|widowed|separated|dating|seeing)\b[^,;]*)",
            _marriage,
        ),
        (
            rf"{_I}(?P<no>not )?(?P<began>got|getting|became) (?P<v>(?:married|engaged|divorced|separated)\b[^,;]*)",
            _marriage,
        ),
        (rf"{_I}(?:broke up|split up|parted ways)(?: with (?P<v>[^,;]+))?", _parted),
        (rf"{_I}{_NO}allergic to {_V}", _simple("allergic to", importance=0.9)),
        (
            rf"{_I}(?P<no>not |no longer )?(?:an? )?(?:strict(?:ly)? )?(?P<v>(?:vegan|vegetarian|pescatarian|diabetic|lactose intolerant|"
            r"gluten[ -]free|celiac)\b)",
            _simple("diet", single=True, importance=0.9),
        ),
        (rf"{_I}{_NO}prefer {_V}", _prefers),
        (
            rf"{_I}{_NO}(?P<verb>love|like|enjoy|adore|hate|dislike|detest|can not stand|(?:am |are )?(?:a )?(?:big |huge |total |"
            rf"massive )?(?:fan of|into|all about|fond of|passionate about|obsessed with|keen on|interested in)) (?:to )?{_V}",
            _tastes,
        ),
        (rf"{_I}{_NO}speak {_V}", _simple("speaks")),
        (rf"{_I}{_NO}report(?:ing)?(?: directly)? to (?P<v>(?-i:[A-Z])[^,;]+)", _simple("reports to", single=True)),
        (
            rf"{_I}{_NO}(?:use|using) (?P<v>(?!it\b|this\b|that\b|them\b|my\b|our\b|the\b|all\b|what\b)[\w.+#-]+(?: [\w.+#-]+){{0,2}})$",
            _uses,
        ),
        (rf"{_I}{_NO}(?:study|studying|majoring in) {_V}", _simple("studies")),
        (
            rf"{_I}(?:sold|got rid of|gave away|donated|lost) (?P<v>(?:my|our) (?:old )?(?:\w+ )?(?:car|house|bike|boat|dog|cat|"
            rf"apartment|flat|guitar|piano|phone|laptop|truck|van|motorcycle|home|shop|store|business|company)\b[^,;]*)",
            _rid,
        ),
        (
            rf"{_I}{_NO}(?P<verb>have|own|had|have got|got) (?P<v>(?:an?|two|three|four|five|six|some|\d+|lots of|no) (?!lot\b|"
            rf"great|good|blast|ton\b|few\b|bit\b|nice|wonderful|feeling|chance|feel|fun|time|really|super|new perspective|sense)[^,;]+)",
            _has,
        ),
        (
            r"^(?:i|we) (?:(?:have|had|also|just|finally) )*(?:cancell?ed|called off|dropped|scrapped|gave up on) (?P<v>(?:my|our|"
            r"the) [^,;]+)",
            _cancelled,
        ),
        (
            r"^(?:i|we) (?:\w+ly |also |just |still |now )*(?:am |are )?(?P<no>not |no longer )?(?:(?:still |also |really |"
            r"actually |now |already )*)(?:going to|planning (?:to|on)|plan (?:to|on)|intending to|intend to|hoping to|about to|"
            r"aiming to|thinking (?:about|of)|considering|will|want to|preparing to|looking to|saving (?:up )?(?:for|to)) (?P<v>[^;]+)",
            _plans,
        ),
        (
            r"^(?:my|our) (?P<of>[\w' -]{1,40}?)'?s? (?:name is|is named|is called|are named|are called|names are) "
            r"(?P<v>[^,;]+(?:,[^,;]+)*)",
            named,
        ),
        (r"^(?:my|our) (?P<of>[\w' -]{1,40}?) (?P<be>is|are|was|were) (?P<no>not |no longer )?(?P<v>[^;]+)", mine),
    )
]
