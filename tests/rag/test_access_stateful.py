"""Whatever happens to documents, rights, groups and people, in whatever order: what is shown is what a plain model says.

The model knows nothing of classes, epochs or caches: it looks each right up anew in what was last said.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from indexes.errors import AccessDenied
from indexes.minilm import MiniLM
from rag import Acl, Loremill, Principal

TENANT, COLLECTION = "halden", "c"
PEOPLE = ("alice", "bob", "carol")
GROUPS = ("staff", "finance", "board")
PATHS = ("a.md", "finance/a.md", "finance/b.md", "hr/a.md")
PATTERNS = {"**": "*", "finance/**": "finance/*", "*/a.md": "*/a.md", "hr/a.md": "hr/a.md"}
"""A pattern as Loremill reads it, and one that fnmatch reads alike on these paths."""
EDITOR = Principal(TENANT, "user:editor")

names = st.sampled_from(["everyone", *(f"user:{p}" for p in PEOPLE), *(f"group:{g}" for g in GROUPS)])
acls = st.tuples(st.lists(names, max_size=2), st.lists(names, max_size=1))
paths, patterns, people, groups = map(st.sampled_from, (PATHS, sorted(PATTERNS), PEOPLE, GROUPS))
members = st.sampled_from([*(f"user:{p}" for p in PEOPLE), *(f"group:{g}" for g in GROUPS)])


class Access(RuleBasedStateMachine):
    """One home with a held principal for each person, asked after every step."""

    open: Callable[[Path], Loremill]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.mill = type(self).open(Path(self._folder.name) / "home")
        self.documents: dict[str, tuple[list[str], list[str]]] = {}
        self.rules: list[tuple[int, str, list[str] | None, list[str]]] = []
        self.edges: set[tuple[str, str]] = set()
        self.active = set(PEOPLE)

    def teardown(self) -> None:
        self.mill.close()
        self._folder.cleanup()

    @initialize()
    def people_are_known(self) -> None:
        roster = Path(self._folder.name) / "principals.yaml"
        roster.write_text(json.dumps({name: {"tenant": TENANT} for name in PEOPLE}))
        self.mill.directory.import_principals(roster)
        self.held = {name: self.mill.directory.resolve(name) for name in PEOPLE}
        self.documents = {}
        for path in PATHS[:2]:
            self.put(path, (["everyone"], []))

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(path=paths, acl=acls)
    def put(self, path: str, acl: tuple[list[str], list[str]]) -> None:
        text = f"common words of {path}"
        allow, deny = acl
        self.mill.put_document(
            collection=COLLECTION, principal=EDITOR, document_id=path, text=text, acl=Acl(tuple(allow), tuple(deny))
        )
        self.documents[path] = acl

    @rule(path=paths, who=people)
    def delete(self, path: str, who: str) -> None:
        if who not in self.active:
            return
        deleted = self.mill.delete_document(path, collection=COLLECTION, principal=self.held[who])
        assert deleted == (path in self.readable(who))
        if deleted:
            del self.documents[path]

    @rule(pattern=patterns, allow=st.none() | st.lists(names, max_size=2), deny=st.lists(names, max_size=1))
    def set_rule(self, pattern: str, allow: list[str] | None, deny: list[str]) -> None:
        if allow is None and not deny:
            return
        change = self.mill.set_acl(collection=COLLECTION, path=pattern, allow=allow, deny=deny)
        if allow is not None:
            self.rules = [known for known in self.rules if known[1] != pattern]
        self.rules.append((change.rule.rule_id, pattern, allow, deny))

    @rule(which=st.integers(0, 5))
    def unset_rule(self, which: int) -> None:
        if which < len(self.rules):
            self.mill.unset_acl(self.rules.pop(which)[0], collection=COLLECTION)

    @rule(group=groups, member=members)
    def add_member(self, group: str, member: str) -> None:
        self.mill.directory.add_member(group, member, TENANT)
        self.edges.add((member, f"group:{group}"))

    @rule(group=groups, member=members)
    def remove_member(self, group: str, member: str) -> None:
        removed = self.mill.directory.remove_member(group, member, TENANT)
        assert removed == ((member, f"group:{group}") in self.edges)
        self.edges.discard((member, f"group:{group}"))

    @rule(who=people)
    def deactivate(self, who: str) -> None:
        self.mill.directory.deactivate(who)
        self.active.discard(who)

    @rule(who=people)
    def activate(self, who: str) -> None:
        self.mill.directory.activate(who)
        self.active.add(who)

    # -- what must be --------------------------------------------------------------------------------------------------

    def readable(self, who: str) -> set[str]:
        mine, before = {f"user:{who}", "everyone"}, set[str]()
        while mine != before:
            before = set(mine)
            mine |= {group for member, group in self.edges if member in before}
        found = set()
        for path, (allow, deny) in self.documents.items():
            for _, pattern, rule_allow, rule_deny in self.rules:
                if fnmatchcase(path, PATTERNS[pattern]):
                    allow, deny = (allow, [*deny, *rule_deny]) if rule_allow is None else (rule_allow, rule_deny)
            if mine & set(allow) and not mine & set(deny):
                found.add(path)
        return found

    @invariant()
    def everybody_sees_what_the_model_says_and_nothing_else(self) -> None:
        for who, principal in getattr(self, "held", {}).items():
            if who not in self.active:
                with pytest.raises(AccessDenied):
                    self.mill.search("common words", collection=COLLECTION, principal=principal)
                continue
            expected = self.readable(who)
            listed = {info.document_id for info in self.mill.documents(collection=COLLECTION, principal=principal)}
            assert listed == expected, who
            for mode in ("lexical", "dense"):
                hits = self.mill.search("common words", collection=COLLECTION, principal=principal, mode=mode)
                assert {hit.document_id for hit in hits} == expected, (who, mode)
            for path in self.documents:
                (said,) = self.mill.explain(path, principal=principal)
                assert said.readable == (path in expected), (who, path)


@pytest.mark.slow
def test_what_is_shown_is_what_was_last_said_of_rights_groups_and_people(minilm: MiniLM) -> None:
    def open_(home: Path) -> Loremill:
        mill = Loremill.open(home)
        mill.embedder = minilm
        return mill

    machine = type("AccessHere", (Access,), {"open": staticmethod(open_)})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=checks
        ),
    )
