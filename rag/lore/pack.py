"""Packing of recalled items into a token budget, and their form in a prompt: dated, with who said it, fenced as data.

    <<<MEMORY 4f0c...>>>
    [7 May 2026]
    Alice: I moved to Lisbon last week.
    [9 May 2026]
    - Alice lives in Lisbon. (since 1 May 2026)
    <<<END 4f0c...>>>

By date, as it was said: an answer to "when" needs the day that "last week" is counted from. Nothing in an item can begin a line of its own,
end the fence, or speak to the model: see `rag.prompts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from rag.lore.items import Kind, MemoryItem
from rag.prompts import as_data, boundary

_NO_MARKS = str.maketrans("[]:<>", "     ")  # they would make a name look like a date's line, or like another speaker
CountTokens = Callable[[Sequence[str]], list[int]]

_MISSES = 20
"""So many items in a row that do not fit end the packing: what shorter ones are behind them is worth little."""
LOW_TRUST = 0.5
"""Items below it are marked in a prompt."""


def pack(
    items: Sequence[MemoryItem], *, max_tokens: int, count_tokens: CountTokens, framed: bool = False
) -> list[MemoryItem]:
    """Return the best items that together stay within a budget, in the order given.

    An item that does not fit gives way to shorter ones behind it; none is torn. None comes twice, and a fact gives way to the episodes
    that it rests on where all of them are packed: they say it in their own words.

    Args:
        items: best first.
        max_tokens: at least 1. Never exceeded: where nothing fits, nothing is returned.
        count_tokens: texts -> their lengths in the tokens of whoever reads them.
        framed: count what `as_prompt` prints of them, with dates, names and fence; else the items' texts alone.
    Cost: counts texts until the budget is spent.
    """
    misses = 0
    left = max_tokens - (sum(count_tokens(_fence(""))) if framed else 0)
    chosen: dict[str, tuple[MemoryItem, int]] = {}
    headed: set[str] = set()
    for item in _unique(items):
        if left < 1 or misses == _MISSES:
            break
        head = _heading(item.time) if framed else ""
        own, above = count_tokens([_line(item) if framed else item.text, head])
        cost = own if head in headed else own + above
        if cost <= left and not _told(item, chosen):
            for fact in _replaced(item, chosen):
                left += chosen.pop(fact)[1]
            chosen[item.id] = (item, own)
            headed.add(head)
            left -= cost
        misses = misses + 1 if cost > left else 0
    kept = [item for item, _ in chosen.values()]
    return _within(kept, max_tokens, count_tokens) if framed else kept


def as_prompt(items: Sequence[MemoryItem]) -> str:
    """Return the items as one block of dated lines by time, empty where there are none; equal items give equal text.

    What in an item speaks to a model is left out, and a mark says so.
    """
    if not items:
        return ""
    lines: list[str] = []
    heading = ""
    for item in sorted(items, key=lambda one: (one.time, one.id)):
        if (day := _heading(item.time)) != heading:
            lines.append(heading := day)
        lines.append(_line(item))
    first, last = _fence(boundary(lines))
    return "\n".join([first, *lines, last])


def _unique(items: Iterable[MemoryItem]) -> list[MemoryItem]:
    """Leave out what came before, by id, and by what was said by whom on one day."""
    seen: dict[tuple[object, ...], MemoryItem] = {}
    ids: set[str] = set()
    for item in items:
        said = (item.text, _speaker(item), item.time.date())
        if item.id not in ids and said not in seen:
            seen[said] = item
        ids.add(item.id)
    return list(seen.values())


def _told(item: MemoryItem, chosen: dict[str, tuple[MemoryItem, int]]) -> bool:
    """Whether all episodes that a fact rests on are there to be read."""
    if item.kind == Kind.EPISODE or not item.provenance:
        return False
    return all(episode.id in chosen for episode in item.provenance)


def _replaced(item: MemoryItem, chosen: dict[str, tuple[MemoryItem, int]]) -> list[str]:
    """Return the ids of chosen facts that rest on this episode and, besides, only on chosen ones."""
    if item.kind != Kind.EPISODE:
        return []
    there = chosen.keys() | {item.id}
    return [
        id
        for id, (other, _) in chosen.items()
        if other.kind != Kind.EPISODE and other.provenance and all(one.id in there for one in other.provenance)
    ]


def _within(items: list[MemoryItem], max_tokens: int, count_tokens: CountTokens) -> list[MemoryItem]:
    """Leave out the last items while the prompt is too long: some tokenizers count a whole as more than its parts."""
    while items and count_tokens([as_prompt(items)])[0] > max_tokens:
        items = items[:-1]
    return items


def _line(item: MemoryItem) -> str:
    """Return an item as it stands in a prompt: who, what, since when; its further lines are indented."""
    speaker = _speaker(item)
    told = as_data(f"{speaker}: {item.text}" if speaker else f"- {item.text}")
    notes = "; ".join(_notes(item))
    body = "\n  ".join(line for line in told.splitlines() if line.strip())
    return f"{body} ({notes})" if notes else body


def _speaker(item: MemoryItem) -> str:
    """Return who says it; a fact speaks for itself."""
    if item.kind != Kind.EPISODE or not item.provenance:
        return ""
    said = item.provenance[0]
    name = " ".join(said.speaker.translate(_NO_MARKS).split())
    return name or said.role.value


def _notes(item: MemoryItem) -> Iterable[str]:
    if item.kind != Kind.EPISODE:
        if item.valid_from:
            yield f"since {_day(item.valid_from)}"
        if item.valid_to:
            yield f"until {_day(item.valid_to)}"
    if item.trust < LOW_TRUST:
        yield "unconfirmed"
    if item.conflicts:
        yield "another memory says otherwise"


def _heading(time: datetime) -> str:
    return f"[{_day(time)}]"


def _day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"


def _fence(mark: str) -> tuple[str, str]:
    return f"<<<MEMORY {mark or '0' * 24}>>>", f"<<<END {mark or '0' * 24}>>>"
