"""Rules above the sources': they hold at once, survive ingestions, and mean what acl.yaml means."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.access import UNREADABLE
from indexes.catalog import Catalog
from indexes.changes import apply_staged
from indexes.errors import CollectionNotFound, ConfigError
from indexes.rights import remove_rule, rules, set_rule, withdraw, withdrawn
from indexes.staging import StoredDocument, Touch, open_staging
from indexes.vocabulary import Acl, Chunk, Document, Principal
from ingest.acl_file import AclRules
from tests.catalogs import both_catalogs, staging_of

pytestmark = both_catalogs

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
EVERYONE, FINANCE = Acl(("everyone",)), Acl(("group:finance",))
PATHS = ("a.md", "finance/q1.md", "finance/2026/q2.md", "finance2/x.md", "hr/cases/1.md", "hr/guide.md", "büro/a.md")


def put(
    catalog: Catalog,
    paths: Sequence[str],
    acl: Acl = EVERYONE,
    *,
    deletes: Sequence[str] = (),
    parent: str | None = None,
    collection: str = "c",
) -> None:
    with open_staging(catalog, staging_of(catalog), collection) as staging:
        documents = []
        for path in paths:
            document = Document(path, f"file:{path}", path, f"text of {path}", "md")
            chunk = Chunk(path, 0, 0, len(document.text), document.text)
            documents.append(
                StoredDocument(document, "s", path, "h", acl, [(chunk, path)], parent=parent, rule="acl.yaml")
            )
        staging.put(documents)
        staging.drop(deletes)
        with staging.commit() as db:
            apply_staged(db, collection, sources=())


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db", tenant="halden")
    opened.create_collection("c")
    put(opened, PATHS)
    yield opened
    opened.close()


def readable(catalog: Catalog, principal: Principal, collection: str = "c") -> set[str]:
    return {info.document_id for info in catalog.listing(collection, access=catalog.access(principal))}


def test_a_rule_by_pattern_holds_for_what_it_matches_and_for_nothing_else(catalog: Catalog) -> None:
    change = set_rule(catalog, "c", path="finance/**", allow=["group:finance"])
    assert change.documents == 2
    assert set(PATHS) - readable(catalog, BOB) == {"finance/q1.md", "finance/2026/q2.md"}
    assert readable(catalog, ALICE) == set(PATHS)


def test_a_rule_for_one_document_is_about_that_one(catalog: Catalog) -> None:
    set_rule(catalog, "c", document_id="hr/guide.md", allow=[])
    assert readable(catalog, ALICE) == set(PATHS) - {"hr/guide.md"}


def test_a_rule_that_only_denies_keeps_what_held(catalog: Catalog) -> None:
    set_rule(catalog, "c", path="finance/**", allow=["group:finance"])
    set_rule(catalog, "c", path="**", deny=["user:alice"])
    assert readable(catalog, ALICE) == set()
    assert readable(catalog, BOB) == set(PATHS) - {"finance/q1.md", "finance/2026/q2.md"}


def test_the_last_rule_has_the_last_word(catalog: Catalog) -> None:
    set_rule(catalog, "c", path="**", allow=[])
    set_rule(catalog, "c", path="hr/**", allow=["user:bob"])
    assert readable(catalog, BOB) == {"hr/cases/1.md", "hr/guide.md"}


def test_a_full_rule_takes_the_place_of_earlier_ones_about_the_same(catalog: Catalog) -> None:
    for allow in (["user:bob"], ["group:finance"], []):
        set_rule(catalog, "c", path="hr/**", allow=allow)
    with catalog.read() as db:
        assert [rule.allow for rule in rules(db, "c")] == [()]


def test_an_ingestion_does_not_undo_a_rule_and_what_comes_later_falls_under_it(catalog: Catalog) -> None:
    set_rule(catalog, "c", path="finance/**", allow=["group:finance"])
    put(catalog, ["finance/q1.md", "finance/new.md", "other.md"])
    assert readable(catalog, BOB) == (set(PATHS) | {"other.md"}) - {"finance/q1.md", "finance/2026/q2.md"}


def test_a_document_that_moves_leaves_the_rules_of_its_old_path(catalog: Catalog) -> None:
    set_rule(catalog, "c", path="finance/**", allow=["group:finance"])
    with open_staging(catalog, staging_of(catalog), "c") as staging:
        staging.touch([Touch("finance/q1.md", "s", "open/q1.md", "file:open/q1.md", "", EVERYONE)])
        with staging.commit() as db:
            apply_staged(db, "c", sources=())
    assert "finance/q1.md" in readable(catalog, BOB)


def test_without_its_rule_a_document_has_the_rights_of_its_source_again(catalog: Catalog) -> None:
    first = set_rule(catalog, "c", path="finance/**", allow=["group:finance"])
    second = set_rule(catalog, "c", path="finance/2026/**", allow=[])
    assert remove_rule(catalog, "c", first.rule.rule_id).documents == 1
    assert readable(catalog, BOB) == set(PATHS) - {"finance/2026/q2.md"}
    remove_rule(catalog, "c", second.rule.rule_id)
    assert readable(catalog, BOB) == set(PATHS)


def test_every_change_raises_the_epoch_and_names_what_it_changed(catalog: Catalog) -> None:
    before = catalog.state("c").epoch
    change = set_rule(catalog, "c", path="hr/cases/**", allow=["group:hr"])
    assert change.epoch == catalog.state("c").epoch == before + 1
    assert set(catalog.document_classes("c", since=before)) == {"hr/cases/1.md"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"allow": ["everyone"]}, "either a path pattern or one document"),
        ({"path": "**", "document_id": "a.md", "allow": []}, "either a path pattern or one document"),
        ({"path": "**"}, "needs allow or deny"),
        ({"path": "a//b", "allow": []}, "can match nothing"),
        ({"path": "**", "allow": ["finance"]}, "write everyone, user:NAME"),
        ({"path": "**", "allow": ["everyone"], "deny": ["all"]}, "write everyone, user:NAME"),
    ],
)
def test_a_malformed_rule_changes_nothing_and_says_what_is_wrong(
    catalog: Catalog, arguments: dict[str, object], says: str
) -> None:
    before = catalog.state("c")
    with pytest.raises(ConfigError, match=says):
        set_rule(catalog, "c", **arguments)  # type: ignore[arg-type]
    assert catalog.state("c") == before


def test_a_rule_for_a_collection_that_is_not_there_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(CollectionNotFound):
        set_rule(catalog, "d", path="**", allow=[])
    with pytest.raises(ConfigError, match="has no rule 7"):
        remove_rule(catalog, "c", 7)


def test_a_withdrawn_document_is_readable_by_nobody_with_its_attachments(catalog: Catalog) -> None:
    put(catalog, ["mail.eml!a.pdf"], parent="a.md")
    withdraw(catalog, "c", ["a.md"])
    assert readable(catalog, ALICE) == set(PATHS) - {"a.md"}
    assert withdrawn(catalog, "c") == ["a.md", "mail.eml!a.pdf"]
    assert catalog.document_text("c", "a.md", access=catalog.access(ALICE)) is None


def test_neither_a_rule_nor_an_ingestion_that_was_running_brings_a_withdrawn_document_back(catalog: Catalog) -> None:
    withdraw(catalog, "c", ["a.md"])
    set_rule(catalog, "c", path="**", allow=["everyone"])
    put(catalog, ["a.md"])
    assert "a.md" not in readable(catalog, ALICE)
    assert catalog.document_classes("c")["a.md"] == UNREADABLE


def test_what_is_deleted_leaves_no_rights_behind_and_may_come_again(catalog: Catalog) -> None:
    withdraw(catalog, "c", ["a.md"])
    put(catalog, [], deletes=["a.md"])
    assert "a.md" not in catalog.document_classes("c")
    put(catalog, ["a.md"])
    assert "a.md" in readable(catalog, BOB)


_NUMBER = itertools.count()
SEGMENTS = st.sampled_from(["a", "b", "ab", "a.md", "ä", "a_b", "a%", "[a]"])
RULE_SEGMENTS = st.one_of(SEGMENTS, st.sampled_from(["*", "**", "?", "a*", "*.md"]))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.sets(st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=6),
    stated=st.lists(
        st.tuples(
            st.builds(
                lambda lead, parts, tail: lead + "/".join(parts) + tail,
                st.sampled_from(["", "/"]), st.lists(RULE_SEGMENTS, min_size=1, max_size=3), st.sampled_from(["", "/"]),
            ),
            st.none() | st.lists(st.sampled_from(["everyone", "group:finance", "user:bob"]), max_size=2),
            st.lists(st.sampled_from(["user:alice", "user:bob"]), max_size=1),
        ),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_rules_set_one_after_the_other_mean_what_they_would_mean_in_an_acl_file(
    catalog: Catalog,
    paths: set[str],
    stated: list[tuple[str, list[str] | None, list[str]]],
) -> None:
    import json

    collection = f"c{next(_NUMBER)}"
    catalog.create_collection(collection)
    put(catalog, sorted(paths), collection=collection)
    listed = [
        {"path": path} | ({} if allow is None else {"allow": allow}) | ({"deny": deny} if deny or allow is None else {})
        for path, allow, deny in stated
        if allow is not None or deny
    ]
    for rule in listed:
        set_rule(catalog, collection, path=rule["path"], allow=rule.get("allow"), deny=rule.get("deny", ()))  # type: ignore[arg-type]
    expected = AclRules.parse(json.dumps({"default": {"allow": ["everyone"]}, "rules": listed}))
    for principal in (ALICE, BOB):
        names = principal.names
        may = {
            path
            for path in paths
            for acl in [expected.resolve(path)[0]]
            if names & set(acl.allow) and not names & set(acl.deny)
        }
        assert readable(catalog, principal, collection) == may, (listed, principal.subject)
