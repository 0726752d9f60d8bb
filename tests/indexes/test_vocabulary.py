"""The vocabulary refuses what it cannot mean, and its ids depend on content alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigError
from indexes.vocabulary import NOBODY, Acl, Chunk, Document, Principal, check_name, digest


def test_a_principal_is_read_from_its_literal() -> None:
    assert Principal.parse("halden/user:alice, group:finance,group:board") == Principal(
        "halden", "user:alice", ("group:board", "group:finance")
    )


def test_order_and_repetition_of_groups_do_not_matter() -> None:
    assert Principal("t", "user:a", ("group:x", "group:y")) == Principal(
        "t", "user:a", ("group:y", "group:x", "group:y")
    )


def test_a_principal_answers_to_everyone_its_subject_and_its_groups() -> None:
    assert Principal("t", "user:a", ("group:x",)).names == {"everyone", "user:a", "group:x"}


def test_where_a_principal_comes_from_is_not_who_it_is() -> None:
    by_name = Principal("t", "user:a", in_directory=True)
    assert by_name == Principal("t", "user:a")
    assert hash(by_name) == hash(Principal("t", "user:a"))
    assert repr(by_name) == repr(Principal("t", "user:a"))
    assert not Principal("t", "user:a").in_directory


@pytest.mark.parametrize(
    "literal",
    ["", "alice", "/user:a", "halden/", "halden/alice", "halden/group:x", "halden/user:", "halden/user: ",
     "halden/user:a,finance", "halden/user:a,group:", "halden/user:a,", "../up/user:a", ".hidden/user:a", "a b/user:a"],
)  # fmt: skip
def test_a_malformed_principal_is_refused(literal: str) -> None:
    with pytest.raises(ConfigError):
        Principal.parse(literal)


def test_groups_given_as_one_string_are_refused_instead_of_read_letter_by_letter() -> None:
    with pytest.raises(ConfigError, match="not one string"):
        Principal("t", "user:a", "group:x")  # type: ignore[arg-type]


@pytest.mark.parametrize("names", ["everyone", ("finance",), ("Everyone",), ("group:",), ("group: x",), (1,), ("",)])
def test_an_acl_refuses_names_that_mean_nobody(names: object) -> None:
    with pytest.raises(ConfigError, match="ACL allow"):
        Acl(allow=names)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ACL deny"):
        Acl(deny=names)  # type: ignore[arg-type]


def test_equal_acls_are_equal_whatever_the_order_they_were_written_in() -> None:
    assert Acl(("group:b", "group:a", "group:b")) == Acl(("group:a", "group:b"))
    assert hash(Acl(("group:b", "group:a"))) == hash(Acl(("group:a", "group:b")))
    assert Acl() == NOBODY


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a\\b", "a" * 129, "a\n", "a b"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="collection"):
        check_name(name, "collection")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_a_digest_tells_where_one_part_ends_and_the_next_begins(left: list[str], right: list[str]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)


def test_a_chunk_id_derives_from_document_place_and_text_and_from_nothing_else() -> None:
    chunk = Chunk("d", 0, 5, 9, "text")
    assert Chunk("d", 7, 5, 9, "text", ("Heading",)).chunk_id == chunk.chunk_id
    others = [Chunk("e", 0, 5, 9, "text"), Chunk("d", 0, 6, 10, "text"), Chunk("d", 0, 5, 9, "toxt")]
    assert len({chunk.chunk_id, *(other.chunk_id for other in others)}) == 4
    assert len(chunk.chunk_id) == 32


def test_a_content_hash_names_title_and_text_and_not_the_place() -> None:
    document = Document("a", "file:a", "Title", "text", "md")
    assert Document("b", "file:b", "Title", "text", "txt").content_hash == document.content_hash
    assert Document("a", "file:a", "Titl", "etext", "md").content_hash != document.content_hash
