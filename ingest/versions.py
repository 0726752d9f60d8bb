"""Does a document say of itself that another one has taken its place?"""

from __future__ import annotations

import re
from datetime import date

_HEAD = 1200
"""Characters from the top in which a document speaks of its own standing."""

_GONE = re.compile(
    r"\b(?:(?:is|was|has been|been|status\W{1,3})\s*)?(?:superseded|replaced|withdrawn|obsoleted)\s+(?:by|on|as of|from|since)\b"
    r"|\bstatus\W{1,3}(?:superseded|obsolete|withdrawn|archived|expired|retired)\b"
    r"|\b(?:this|the) (?:document|policy|version|page|agreement|procedure|guideline|price list)\b.{0,60}\b(?:is|are)\s+"
    r"(?:no longer (?:in force|valid|applicable)|obsolete|out of date)\b",
    re.IGNORECASE,
)
_WORDS = (
    "supersed", "replaced", "withdrawn", "obsolete", "archived", "expired", "retired", "no longer", "out of date",
)  # fmt: skip
"""One of these stands in every match of `_GONE`: most documents need no closer look."""
_MONTHS = "january february march april may june july august september october november december".split()  # noqa: SIM905
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_LONG = re.compile(
    rf"\b(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?P<month>{'|'.join(_MONTHS)})"
    rf"|(?P<month_first>{'|'.join(_MONTHS)}) (?P<day_behind>\d{{1,2}}),?) (?P<year>\d{{4}})\b",
    re.IGNORECASE,
)


def superseded(text: str) -> str | None:
    """Return since when the document is superseded, by its own words.

    Returns:
        The ISO date that stands in the same sentence, the last if there are several; "" where none does; None where the
        top of the document says nothing of the kind. A paragraph about another document ("This policy supersedes ...",
        "the old form was replaced by ...") says nothing.
    Cost: looks at the first 1,200 characters.
    """
    head = text[:_HEAD]
    folded = head.lower()
    if not any(word in folded for word in _WORDS):
        return None
    for line in head.splitlines():
        for sentence in re.split(r"(?<=[.!?])\s+", line):
            if _about_itself(line) and _GONE.search(sentence):
                return _last_date(sentence)
    return None


def _about_itself(line: str) -> bool:
    """A line of a document's head: it names its status, a version or a date of effect, or speaks of "this document"."""
    return bool(
        re.search(
            r"\bstatus\b|\bversion\b|\beffective\b|\bthis (?:document|policy|version|page|agreement|procedure|guideline|price list)\b"
            r"|^\W*(?:superseded|replaced|withdrawn)\b",
            line,
            re.IGNORECASE,
        )
    )


def _last_date(sentence: str) -> str:
    dates = [(found.start(), found[0]) for found in _ISO.finditer(sentence)]
    for found in _LONG.finditer(sentence):
        month = _MONTHS.index((found["month"] or found["month_first"]).lower()) + 1
        try:
            day = date(int(found["year"]), month, int(found["day"] or found["day_behind"]))
        except ValueError:
            continue
        dates.append((found.start(), day.isoformat()))
    return max(dates, default=(0, ""))[1]
