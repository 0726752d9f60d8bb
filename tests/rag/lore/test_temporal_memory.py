"""The temporal suite through `Memory` itself: what `recall(as_of=...)` gives is what the ledger of `test_temporal` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag import Principal
from rag.lore.items import Kind
from rag.lore.normal import relation_key
from tests.rag.lore.test_temporal import CASES, moment, told

if TYPE_CHECKING:
    from rag import Loremill

SAID = [case for case in CASES if case.get("holds") and not any(line.count("|") > 2 for line in case["said"])]
"""All but those that need a trust of their own, which nobody who speaks can give themselves."""


def test_recall_as_of_a_moment_gives_what_held_then_and_was_known(mill: Loremill) -> None:
    people = [Principal("halden", f"user:case{number}") for number in range(len(SAID))]
    for case, person in zip(SAID, people, strict=True):
        for line in case["said"]:
            time, speaker, text = (part.strip() for part in line.split("|"))
            mill.memory.remember(text, principal=person, speaker=speaker, time=time, session="s")
    assert mill.memory.settle(60)
    wrong, asked = [], 0
    for case, person in zip(SAID, people, strict=True):
        ledger = told(case)
        for line in case["holds"]:
            at, relation, _ = (part.strip() for part in line.split("|"))
            about = {
                one.draft.text
                for one in ledger.known.values()
                if relation_key(one.draft.relation) == relation_key(relation)
            }
            wanted = {one.draft.text for one in ledger.holding(moment(at)) if one.draft.told <= moment(at)} & about  # type: ignore[operator]
            if not wanted:
                continue
            asked += 1
            items = mill.memory.recall(
                " ".join(sorted(about)), principal=person, as_of=moment(at), kinds=[Kind.FACT, Kind.PROFILE], top_k=20
            )  # fmt: skip
            over = {item.text for item in items if item.valid_to is not None and item.valid_to <= moment(at)}
            found = {item.text for item in items} & about
            if not wanted <= found or (found - wanted - over):
                wrong.append((case["name"], line, sorted(found), sorted(wanted)))
    assert wrong == []
    assert asked > 45
