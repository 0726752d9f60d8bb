"""What stands around a hit, for those who may read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from indexes.errors import AccessDenied
from rag import Loremill, Principal

ALICE = Principal("t", "user:alice", ("group:finance",))
BOB = Principal("t", "user:bob")
TEXT = "# Kiln\n\n" + "\n\n".join(
    f"## Part {part}\n\n" + "\n\n".join(f"Part {part}, paragraph {number}, on the kiln and its long history." for number in range(6))
    for part in range(3)
)  # fmt: skip
WriteTree = Callable[..., Path]


@pytest.fixture
def mill(open_mill: Callable[..., Loremill], write_tree: WriteTree) -> Loremill:
    mill = open_mill(chunk_tokens=40)
    rules = "tenant: t\ndefault: {allow: [group:finance]}\n"
    mill.ingest(write_tree({"acl.yaml": rules, "a.md": TEXT}), collection="c")
    return mill


def hit(mill: Loremill) -> str:
    return mill.search("Part 1, paragraph 3", collection="c", principal=ALICE, mode="lexical", top_k=1)[0].chunk_id


def test_neighbours_come_in_reading_order_with_the_hit_among_them(mill: Loremill) -> None:
    chunk_id = hit(mill)
    found = mill.around(chunk_id, collection="c", principal=ALICE, before=1, after=2)
    ordinals = [chunk.ordinal for chunk in found]
    assert ordinals == list(range(ordinals[0], ordinals[0] + 4))
    assert found[1].chunk_id == chunk_id


def test_a_section_is_all_that_stands_under_its_heading(mill: Loremill) -> None:
    found = mill.around(hit(mill), collection="c", principal=ALICE, levels_up=0)
    text = "\n".join(chunk.text for chunk in found)
    assert all(f"Part 1, paragraph {number}," in text for number in range(6))
    assert "Part 0, paragraph" not in text
    assert "Part 2, paragraph" not in text
    assert len(mill.around(hit(mill), collection="c", principal=ALICE, levels_up=1)) > len(found)


def test_who_may_not_read_the_document_gets_what_one_gets_for_nothing(mill: Loremill) -> None:
    assert mill.around(hit(mill), collection="c", principal=BOB) == []
    assert mill.around("f" * 32, collection="c", principal=BOB) == []


def test_another_tenants_principal_is_denied(mill: Loremill) -> None:
    from rag.context import around

    with pytest.raises(AccessDenied):
        around(mill._tenant("t").catalog, hit(mill), collection="c", principal=Principal("rival", "user:alice"))
