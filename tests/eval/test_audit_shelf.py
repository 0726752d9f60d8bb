"""What the audit believes of acl.yaml and of rules above it, against what ingestion and the catalog make of the same."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.audit.history import History
from eval.audit.material import Material
from eval.audit.shelf import PATTERNS, RuleAbove, Shelf
from eval.audit.world import Document, World
from eval.oracle import Rights
from ingest.acl_file import AclRules
from rag.loremill import Loremill

NAMES = st.lists(st.sampled_from(["everyone", "user:ann", "group:hr"]), max_size=2, unique=True).map(tuple)
RULES = st.lists(st.tuples(st.sampled_from(PATTERNS), st.none() | NAMES, NAMES), max_size=5)
PATHS = st.sampled_from(["open/a.md", "cases/b.md", "cases/closed/c.md", "closed/d.txt", "push-e"])


def shelf(root: Path = Path("unused")) -> Shelf:
    return Shelf("a", "company", root, (("everyone",), ()))


def document(path: str, own: Rights | None = None) -> Document:
    return Document("a", "company", path, "", (), {}, Rights("a", frozenset()), own)


@given(RULES, PATHS)
def test_the_file_means_to_the_product_what_it_means_to_the_audit(
    rules: list[tuple[str, tuple[str, ...] | None, tuple[str, ...]]], path: str
) -> None:
    with TemporaryDirectory() as folder:
        one = shelf(Path(folder))
        one.rules = rules
        one.write_rules()
        acl, _ = AclRules.load(Path(folder) / "acl.yaml").decide(path)
    rights = one.rights(document(path))
    assert (frozenset(acl.allow), frozenset(acl.deny)) == (rights.allow, rights.deny)


def test_rules_above_hold_for_pushed_documents_too_and_the_last_has_the_last_word() -> None:
    one = shelf()
    own = Rights("a", frozenset({"user:ann"}))
    one.set_above(RuleAbove(1, "push-*", True, ("group:hr",), ()))
    one.set_above(RuleAbove(2, "push-e", False, None, ("user:bob",)))
    assert one.rights(document("push-e", own)) == Rights("a", frozenset({"group:hr"}), frozenset({"user:bob"}))
    one.set_above(RuleAbove(3, "push-e", False, ("everyone",), ()))
    assert [rule.rule_id for rule in one.above] == [1, 3]
    assert one.rights(document("push-e", own)).allow == {"everyone"}


@pytest.mark.slow
def test_after_a_history_the_mill_and_the_world_agree_on_every_document(mill: Loremill, tmp_path: Path) -> None:
    history = History(mill, World(), Material(), tmp_path / "documents")
    rng = Random(4)
    history.begin(rng)
    done = {history.step(rng) for _ in range(25)}
    assert len(done) > 6
    for person in history.world.people:
        who = mill.directory.resolve(person.name)
        for collection in history.collections(person.tenant):
            listed = mill.documents(collection=collection, principal=who, limit=1000)
            readable = history.world.readable(person, collection)
            assert {one.document_id for one in listed} == {one.document_id for one in readable}
            described = {one.document_id: (one.title, dict(one.metadata)) for one in listed}
            assert described == {one.document_id: (one.title, dict(one.metadata)) for one in readable}
