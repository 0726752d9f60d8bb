"""Who may read what, as a table to be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.access import UNREADABLE, AccessFilter, may_read, readable_classes, reason
from indexes.errors import AccessDenied
from indexes.vocabulary import Acl, Principal

ALICE = Principal("halden", "user:alice", ("group:finance", "group:board"))
BOB = Principal("halden", "user:bob")
AGENT = Principal("halden", "agent:alice", ("group:finance",))

EVERYONE = Acl(("everyone",))
FINANCE = Acl(("group:finance",))
NOT_ALICE = Acl(("everyone",), ("user:alice",))
FINANCE_NOT_BOARD = Acl(("group:finance",), ("group:board",))
ONLY_ALICE = Acl(("user:alice",))
CLOSED = Acl()
ONLY_DENIES = Acl((), ("user:bob",))
DENIES_ALL = Acl(("everyone", "user:alice"), ("everyone",))
SAME_BOTH = Acl(("group:finance",), ("group:finance",))


@pytest.mark.parametrize(
    ("acl", "principal", "readable", "why"),
    [
        (EVERYONE, ALICE, True, "allowed: everyone is on the allow list"),
        (EVERYONE, BOB, True, "allowed: everyone is on the allow list"),
        (FINANCE, ALICE, True, "allowed: group:finance is on the allow list"),
        (FINANCE, AGENT, True, "allowed: group:finance is on the allow list"),
        (FINANCE, BOB, False, "denied: not on the allow list"),
        (NOT_ALICE, ALICE, False, "denied: user:alice is on the deny list"),
        (NOT_ALICE, BOB, True, "allowed: everyone is on the allow list"),
        (NOT_ALICE, AGENT, True, "allowed: everyone is on the allow list"),  # agent:alice is not user:alice
        (FINANCE_NOT_BOARD, ALICE, False, "denied: group:board is on the deny list"),
        (FINANCE_NOT_BOARD, AGENT, True, "allowed: group:finance is on the allow list"),
        (ONLY_ALICE, ALICE, True, "allowed: user:alice is on the allow list"),
        (ONLY_ALICE, AGENT, False, "denied: not on the allow list"),
        (CLOSED, ALICE, False, "denied: nobody is on the allow list"),
        (ONLY_DENIES, ALICE, False, "denied: nobody is on the allow list"),
        (ONLY_DENIES, BOB, False, "denied: user:bob is on the deny list"),
        (DENIES_ALL, ALICE, False, "denied: everyone is on the deny list"),
        (SAME_BOTH, ALICE, False, "denied: group:finance is on the deny list"),
    ],
)
def test_rule_and_principal_decide(acl: Acl, principal: Principal, readable: bool, why: str) -> None:
    assert may_read(acl, principal) is readable
    assert reason(acl, principal) == why
    access = readable_classes({7: acl}, tenant="halden", principal=principal)
    assert access.classes == ({7} if readable else set())


def test_another_tenants_principal_is_denied_even_what_everyone_may_read() -> None:
    stranger = Principal("rival", "user:alice", ("group:finance",))
    with pytest.raises(AccessDenied, match="access denied"):
        readable_classes({1: EVERYONE}, tenant="halden", principal=stranger)


@given(
    classes=st.frozensets(st.integers(1, 20)),
    rows=st.lists(st.integers(UNREADABLE, 25), max_size=40),
)
def test_the_mask_is_the_question_row_by_row(classes: frozenset[int], rows: list[int]) -> None:
    access = AccessFilter("halden", BOB, classes)
    assert access.mask(np.array(rows, dtype=np.int32)).tolist() == [row in classes for row in rows]


@given(classes=st.frozensets(st.integers(UNREADABLE, 3)), rows=st.lists(st.just(UNREADABLE), min_size=1, max_size=5))
def test_a_row_without_a_document_is_readable_by_nobody_whatever_a_filter_holds(
    classes: frozenset[int], rows: list[int]
) -> None:
    assert not AccessFilter("halden", BOB, classes).mask(np.array(rows, dtype=np.int32)).any()


NAMES = st.sampled_from(["everyone", "user:alice", "user:bob", "group:a", "group:b"])


@given(
    allow=st.sets(NAMES), deny=st.sets(NAMES), more=NAMES,
    subject=st.sampled_from(["user:alice", "user:bob"]), groups=st.sets(st.sampled_from(["group:a", "group:b"])),
)  # fmt: skip
def test_a_further_deny_never_opens_and_a_further_allow_never_closes(
    allow: set[str], deny: set[str], more: str, subject: str, groups: set[str]
) -> None:
    principal = Principal("t", subject, tuple(groups))
    before = may_read(Acl(tuple(allow), tuple(deny)), principal)
    assert may_read(Acl(tuple(allow), (*deny, more)), principal) <= before
    assert may_read(Acl((*allow, more), tuple(deny)), principal) >= before
