"""The world knows who may read what, and which words betray what; it must be right, for everything is judged by it."""

from __future__ import annotations

from random import Random

import pytest

from eval.audit.canaries import mint, sung
from eval.audit.world import Document, Person, World
from eval.oracle import Rights

ANN, BOB = Person("a-ann", "a", "user:ann"), Person("a-bob", "a", "user:bob")
STRANGER = Person("b-ann", "b", "user:ann")
RNG = Random(0)


def document(name: str, *allow: str, deny: tuple[str, ...] = (), tenant: str = "a", text: str = "") -> Document:
    rights = Rights(tenant, frozenset(allow), frozenset(deny))
    return Document(tenant, "company", name, "Memo", (text or f"It says {mint(RNG)}.",), {"mark": mint(RNG)}, rights)


@pytest.fixture
def world() -> World:
    made = World([ANN, BOB, STRANGER])
    made.members |= {("a", "user:ann", "group:emea"), ("a", "group:emea", "group:finance")}
    return made


def readable(world: World, person: Person) -> set[str]:
    return {one.document_id for one in world.readable(person)}


def test_groups_within_groups_count_in_their_own_tenant_alone(world: World) -> None:
    world.members |= {("a", "group:finance", "group:emea")}  # a cycle does no harm
    assert world.principal(ANN).groups == ("group:emea", "group:finance")
    assert world.principal(BOB).groups == world.principal(STRANGER).groups == ()
    assert world.direct_groups(ANN) == ("group:emea",)


def test_deny_beats_allow_and_nobody_is_let_in_unasked(world: World) -> None:
    world.put(document("open", "everyone"))
    world.put(document("theirs", "group:finance"))
    world.put(document("denied", "everyone", deny=("group:finance",)))
    world.put(document("closed"))
    world.put(document("rival", "everyone", tenant="b"))
    assert readable(world, ANN) == {"open", "theirs"}
    assert readable(world, BOB) == {"open", "denied"}
    assert readable(world, STRANGER) == {"rival"}
    assert {one.document_id for one in world.forbidden(BOB)} == {"theirs", "closed", "rival"}


def test_a_canary_is_seen_wherever_it_stands_and_however_it_is_written() -> None:
    canary = mint(RNG)
    for out in (canary.upper(), {"a": [f"x{canary}y\n"]}, document("d", text=f"\n{canary}"), (b"-" + canary.encode(),)):
        assert canary in sung(out)
    assert sung("no canary: zq, zqaaaaaaaa") == frozenset()


@pytest.mark.parametrize("part", ["text", "metadata", "document_id", "collection"])
def test_every_part_of_a_forbidden_document_betrays_it(world: World, part: str) -> None:
    secret = document(f"secret-{mint(RNG)}")
    secret = Document(
        "a", f"board-{mint(RNG)}", secret.document_id, "Memo", secret.paragraphs, secret.metadata, secret.rights
    )
    world.put(secret)
    out = {"text": secret.paragraphs, "metadata": secret.metadata}.get(part, getattr(secret, part, None))
    assert world.betrayed(out, BOB) == {secret.document_id}
    assert world.betrayed(out, BOB, said=f"what of {out}?") == frozenset()


def test_what_was_replaced_or_deleted_is_betrayed_also_to_who_might_read_it(world: World) -> None:
    old = document("plan", "everyone")
    world.put(old)
    assert world.betrayed(old, BOB) == frozenset()
    world.remove(old)
    world.put(document("plan", "everyone"))
    assert world.betrayed(old.paragraphs, BOB) == {"plan"}


def test_a_text_that_also_stands_at_a_readable_place_betrays_nothing(world: World) -> None:
    secret = document("secret")
    world.put(secret)
    world.put(document("open", "everyone", text=secret.paragraphs[0]))
    assert world.betrayed(secret.paragraphs, BOB) == frozenset()
    assert world.betrayed(secret.metadata, BOB) == {"secret"}


def test_a_canary_of_no_document_is_named_itself(world: World) -> None:
    canary = mint(RNG)
    assert world.betrayed(canary, BOB) == {f"unknown canary {canary}"}
