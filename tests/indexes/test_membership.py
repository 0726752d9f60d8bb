"""Groups within groups, as of now: whoever asks next has the rights of the last change, and of no tenant but its own."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.directory import Directory
from indexes.errors import AccessDenied, ConfigError
from indexes.vocabulary import Principal

PEOPLE = """
principals:
  alice: {tenant: halden, groups: [emea]}
  bob: {tenant: halden}
  bot: {tenant: halden, subject: "agent:bot", groups: [robots]}
  gone: {tenant: halden, groups: [emea], active: false}
  zoe: {tenant: rival, groups: [emea]}
groups:
  finance: {tenant: halden, members: [group:emea, "user:bob"]}
  everywhere: {tenant: halden, members: [group:finance]}
"""
BY_NAME = Principal("halden", "user:alice", in_directory=True)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return filled(tmp_path, PEOPLE)


def filled(folder: Path, text: str) -> Directory:
    opened = Directory.open(folder / "home")
    (folder / "principals.yaml").write_text(text, encoding="utf-8")
    opened.import_principals(folder / "principals.yaml")
    return opened


def groups(directory: Directory, principal: Principal) -> tuple[str, ...]:
    return directory.effective(principal).groups


def test_a_member_of_a_group_is_a_member_of_what_contains_it(directory: Directory) -> None:
    assert groups(directory, BY_NAME) == ("group:emea", "group:everywhere", "group:finance")
    assert groups(directory, directory.resolve("bob")) == ("group:everywhere", "group:finance")
    assert groups(directory, directory.resolve("bot")) == ("group:robots",)
    assert directory.effective(BY_NAME).in_directory


def test_a_thousand_groups_within_each_other_are_no_deeper_than_two(tmp_path: Path) -> None:
    nested = "\n".join(f"  g{n + 1}: {{tenant: t, members: ['group:g{n}']}}" for n in range(1000))
    directory = filled(tmp_path, f"principals:\n  a: {{tenant: t, groups: [g0]}}\ngroups:\n{nested}\n")
    assert len(directory.resolve("a").groups) == 1001
    assert len(directory.group_path(directory.resolve("a"), "group:g1000")) == 1002


def test_the_groups_that_a_principal_by_name_carries_do_not_count(directory: Directory) -> None:
    forged = Principal("halden", "user:bob", ("group:board",), in_directory=True)
    assert groups(directory, forged) == ("group:everywhere", "group:finance")


def test_a_literal_keeps_what_it_states_and_gets_what_contains_that(directory: Directory) -> None:
    assert groups(directory, Principal("halden", "user:alice", ("group:finance",))) == (
        "group:everywhere",
        "group:finance",
    )
    assert groups(directory, Principal("halden", "user:alice")) == ()  # the directory's groups of alice are not its own
    assert groups(directory, Principal("halden", "user:nobody", ("group:new",))) == ("group:new",)


def test_groups_of_one_name_in_two_tenants_have_nothing_in_common(directory: Directory) -> None:
    assert groups(directory, directory.resolve("zoe")) == ("group:emea",)
    assert groups(directory, Principal("rival", "user:alice", ("group:emea",))) == ("group:emea",)
    directory.add_member("board", "group:emea", "rival")
    assert groups(directory, directory.resolve("zoe")) == ("group:board", "group:emea")
    assert "group:board" not in groups(directory, BY_NAME)
    with pytest.raises(AccessDenied):
        directory.effective(Principal("rival", "user:alice", in_directory=True))


def test_what_is_taken_away_is_gone_for_the_next_query_of_every_process(directory: Directory, tmp_path: Path) -> None:
    elsewhere = Directory.open(tmp_path / "home")
    assert groups(elsewhere, BY_NAME) == ("group:emea", "group:everywhere", "group:finance")
    assert directory.remove_member("finance", "group:emea", "halden")
    assert groups(elsewhere, BY_NAME) == ("group:emea",)
    assert groups(elsewhere, Principal("halden", "user:x", ("group:emea",))) == ("group:emea",)
    assert elsewhere.remove_member("emea", "user:alice", "halden")
    assert groups(directory, BY_NAME) == ()
    assert directory.add_member("group:finance", "user:alice", "halden")
    assert groups(elsewhere, BY_NAME) == ("group:everywhere", "group:finance")
    filled(tmp_path, "bob: {tenant: halden}")
    with pytest.raises(AccessDenied):
        elsewhere.effective(BY_NAME)
    with pytest.raises(AccessDenied):
        directory.effective(BY_NAME)


def test_a_deactivated_subject_is_denied_however_it_comes(directory: Directory, tmp_path: Path) -> None:
    elsewhere = Directory.open(tmp_path / "home")
    literal = Principal("halden", "user:alice", ("group:emea",))
    assert groups(elsewhere, BY_NAME) == groups(elsewhere, literal)
    directory.deactivate("alice")
    for principal in (BY_NAME, literal, Principal("halden", "user:gone", ("group:emea",))):
        with pytest.raises(AccessDenied, match=r"^access denied$"):
            elsewhere.effective(principal)
        with pytest.raises(AccessDenied):
            elsewhere.group_path(principal, "group:emea")
    assert groups(elsewhere, Principal("halden", "agent:alice", ("group:robots",))) == ("group:robots",)
    directory.activate("alice")
    assert "group:finance" in groups(elsewhere, BY_NAME)


def test_a_subject_is_inactive_as_soon_as_one_of_its_names_is(tmp_path: Path) -> None:
    directory = filled(tmp_path, "bob: {tenant: t}\nrob: {tenant: t, subject: 'user:bob', active: false}")
    with pytest.raises(AccessDenied):
        directory.resolve("bob")


def test_the_path_to_a_group_is_the_shortest_chain(directory: Directory) -> None:
    chain = ("user:alice", "group:emea", "group:finance", "group:everywhere")
    assert directory.group_path(BY_NAME, "group:everywhere") == chain
    directory.add_member("everywhere", "group:emea", "halden")
    assert directory.group_path(BY_NAME, "group:everywhere") == ("user:alice", "group:emea", "group:everywhere")
    literal = Principal("halden", "user:x", ("group:finance",))
    assert directory.group_path(literal, "group:everywhere") == ("user:x", "group:finance", "group:everywhere")
    assert directory.group_path(BY_NAME, "group:robots") == ()
    assert directory.group_path(BY_NAME, "group:no-such") == ()


def test_the_generation_grows_with_each_change_and_with_nothing_else(directory: Directory) -> None:
    seen = [directory.generation()]
    for change in (
        lambda: directory.add_member("g", "user:bob", "halden"),
        lambda: directory.remove_member("g", "user:bob", "halden"),
        lambda: directory.deactivate("bob"),
        lambda: directory.activate("bob"),
    ):
        change()
        seen.append(directory.generation())
    assert seen == sorted(set(seen))
    assert not directory.remove_member("g", "user:bob", "halden")
    assert not directory.add_member("emea", "user:alice", "halden")
    directory.create_key("alice")
    directory.effective(BY_NAME)
    assert directory.generation() == seen[-1]


def test_an_import_that_fails_changes_no_membership(directory: Directory, tmp_path: Path) -> None:
    before = directory.generation()
    (tmp_path / "taken.yaml").write_text("zoe: {tenant: halden}")
    with pytest.raises(ConfigError, match="'zoe' is in use in another tenant"):
        directory.import_principals(tmp_path / "taken.yaml")
    assert directory.generation() == before
    assert groups(directory, BY_NAME) == ("group:emea", "group:everywhere", "group:finance")


@pytest.mark.parametrize(
    ("group", "member", "tenant", "message"),
    [
        ("finance", "alice", "halden", "member 'alice': write user:NAME or group:NAME"),
        ("finance", "everyone", "halden", "member 'everyone'"),
        ("finance", "group:", "halden", "member 'group:'"),
        ("group:", "user:alice", "halden", "must look like group:finance"),
        ("finance", "user:alice", "no spaces", "tenant 'no spaces'"),
        ("finance", "user:alcie", "halden", "tenant halden has no principal with the subject 'user:alcie'"),
        ("finance", "user:zoe", "halden", "tenant halden has no principal with the subject 'user:zoe'"),
    ],
)
def test_a_membership_that_could_not_count_is_refused(
    directory: Directory, group: str, member: str, tenant: str, message: str
) -> None:
    before = directory.generation()
    with pytest.raises(ConfigError, match=message):
        directory.add_member(group, member, tenant)
    assert directory.generation() == before


def test_an_unknown_name_can_be_neither_deactivated_nor_activated(directory: Directory) -> None:
    for change in (directory.deactivate, directory.activate):
        with pytest.raises(ConfigError, match="unknown principal 'mallory'"):
            change("mallory")


NODES = ["user:alice", *(f"group:{letter}" for letter in "abcde")]
steps = st.lists(
    st.tuples(st.booleans(), st.sampled_from(NODES), st.sampled_from(NODES[1:])), min_size=1, max_size=25
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(steps=steps, stated=st.sets(st.sampled_from(NODES[1:])))
def test_after_every_change_the_groups_are_what_can_be_reached_in_the_graph(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, str, str]], stated: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    writer, reader = filled(folder, "alice: {tenant: halden}"), Directory.open(folder / "home")
    literal = Principal("halden", "user:token", tuple(stated))
    pairs: set[tuple[str, str]] = set()
    for adds, member, group in steps:
        (writer.add_member if adds else writer.remove_member)(group, member, "halden")
        (pairs.add if adds else pairs.discard)((member, group))
        assert set(groups(reader, BY_NAME)) == reachable(pairs, {"user:alice"}) - {"user:alice"}
        assert set(groups(reader, literal)) == reachable(pairs, stated)
    writer.close()
    reader.close()


def reachable(pairs: set[tuple[str, str]], start: set[str]) -> set[str]:
    """Return `start` and what can be reached from it: follow every edge, as often as there are nodes."""
    found = set(start)
    for _, (member, group) in itertools.product(NODES, pairs):
        if member in found:
            found.add(group)
    return found
