"""What holds when: statements told in an order, and what memory says as of a moment (issue 7, acceptance 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from indexes.vocabulary import digest
from rag.lore.items import Episode, FactDraft
from rag.lore.ledger import Ledger
from rag.lore.normal import relation_key

CASES = yaml.safe_load(Path(__file__).with_name("temporal.yaml").read_text(encoding="utf-8"))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(case: dict[str, Any]) -> Ledger:
    ledger = Ledger()
    for line in case["said"]:
        time, speaker, text, *trust = (part.strip() for part in line.split("|"))
        id = digest(line)[:32]
        ledger.add([Episode(id, text, speaker, "s", moment(time), "user", trust=float(trust[0]) if trust else 1.0)])
    return ledger


def relation(draft: FactDraft) -> str:
    return f"{'not ' if draft.negated else ''}{draft.relation}"


def day(at: datetime | None) -> str:
    return at.date().isoformat() if at else "-"


def test_the_suite_has_the_cases_it_must_have() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_holds_when(case: dict[str, Any]) -> None:
    ledger = told(case)
    for line in case.get("holds", ()):
        at, asked, values = (part.strip() for part in line.split("|"))
        wanted = set() if values == "none" else set(values.split("; "))
        key = asked if asked.startswith("not ") else relation_key(asked)
        assert {
            one.draft.value
            for one in ledger.holding(moment(at))
            if (relation(one.draft) if one.draft.negated else relation_key(one.draft.relation)) == key
        } == wanted, line
    texts = {one.draft.text for one in ledger.known.values()}
    assert texts.issuperset(case.get("reads", ()))
    for name in {line.split("|")[0].strip() for line in case.get("spans", ())}:
        wanted = {line for line in case["spans"] if line.startswith(f"{name} |")}
        held = [one.draft for one in ledger.known.values() if relation_key(one.draft.relation) == name]
        assert {f"{name} | {day(draft.valid_from)} | {day(draft.valid_to)}" for draft in held} == wanted
        assert len(held) == len(wanted)
    marked = {relation_key(ledger.known[id].draft.relation) for id in ledger.conflicts}
    assert marked == set(case.get("conflicts", ()))
