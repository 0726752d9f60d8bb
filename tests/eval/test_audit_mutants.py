"""Does the audit find what it is for? Each mutant takes one guard away; the audit must fail on every one, and on none without.

A mutant that survives is a door that the audit does not watch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.audit import DOORS, LeakAudit, audit_leaks
from indexes.access import AccessFilter
from indexes.builds import Build
from indexes.catalog import Catalog
from indexes.errors import ConfigError
from indexes.faiss import FaissIndex
from indexes.lexical import LexicalIndex
from indexes.membership import Membership
from indexes.minilm import MiniLM
from indexes.vocabulary import Principal
from rag.inbox import Inbox
from rag.loremill import Loremill
from service.audit_doors import http_doors

pytestmark = pytest.mark.slow

TRIALS = 600
SEED = 11
Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]
MUTANTS: list[Mutant] = []


def run(place: Path, minilm: MiniLM, *, until_fault: bool) -> LeakAudit:
    with Loremill.open(place / "home", chunk_tokens=64) as mill:
        mill.embedder = minilm
        doors = {**DOORS, **http_doors(mill)}
        return audit_leaks(
            mill, folder=place / "documents", trials=TRIALS, seed=SEED, doors=doors, until_fault=until_fault
        )


def test_the_product_as_it_is_passes_by_every_door(tmp_path: Path, minilm: MiniLM) -> None:
    audit = run(tmp_path, minilm, until_fault=False)
    assert audit.ok, audit.to_json()["first"]
    assert audit.upper_bound_95 == pytest.approx(3 / TRIALS)
    assert [name for name, door in audit.doors.items() if not door.trials] == []


def mutant(mutate: Mutant) -> Mutant:
    MUTANTS.append(mutate)
    return mutate


def everything(access: AccessFilter) -> AccessFilter:
    """A filter that lets every class through that there is."""
    return replace(access, classes=frozenset(range(1, 1000)))


def widen(patch: Patch, target: type, name: str) -> None:
    """The method is handed a filter that lets everything through."""
    whole = getattr(target, name)

    def method(self: Any, *arguments: Any, access: AccessFilter, **more: Any) -> Any:
        return whole(self, *arguments, access=everything(access), **more)

    patch.setattr(target, name, method)


# -- search ----------------------------------------------------------------------------------------------------------


@mutant
def vectors_are_not_filtered(patch: Patch) -> None:
    widen(patch, FaissIndex, "search")


@mutant
def postings_are_not_filtered(patch: Patch) -> None:
    whole = LexicalIndex._access_query
    patch.setattr(LexicalIndex, "_access_query", lambda self, access, where: whole(self, everything(access), where))


@mutant
def rarity_is_counted_over_all_rows(patch: Patch) -> None:
    patch.setattr(LexicalIndex, "_rarity_factor", lambda self, name, term, access: 1.0)


@mutant
def where_takes_the_place_of_the_filter(patch: Patch) -> None:
    from indexes.search import search_rows as whole

    def search_rows(*arguments: Any, access: AccessFilter, where: Any = None, **more: Any) -> Any:
        return whole(*arguments, access=access if where is None else everything(access), where=where, **more)

    patch.setattr("rag.retrieve.search_rows", search_rows)


@mutant
def indexes_keep_the_rights_they_were_opened_with(patch: Patch) -> None:
    whole = Build.carry_rights

    def carry_rights(self: Build, *arguments: Any, **more: Any) -> None:
        if self.epoch is None:
            whole(self, *arguments, **more)

    patch.setattr(Build, "carry_rights", carry_rights)


@mutant
def confirmation_lets_all_through(patch: Patch) -> None:
    widen(patch, Catalog, "confirm")


# -- rights ----------------------------------------------------------------------------------------------------------


@mutant
def deny_is_ignored(patch: Patch) -> None:
    patch.setattr("indexes.access.may_read", lambda acl, principal: not principal.names.isdisjoint(acl.allow))


@mutant
def tenants_are_not_told_apart(patch: Patch) -> None:
    class AnyTenant(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    whole = Catalog.__init__

    def init(self: Catalog, engine: Any, tenant: str, *more: Any) -> None:
        whole(self, engine, AnyTenant(tenant), *more)

    patch.setattr(Catalog, "__init__", init)


@mutant
def memberships_are_remembered_for_ever(patch: Patch) -> None:
    patch.setattr(Membership, "generation", lambda self: 0)


@mutant
def groups_are_those_that_the_object_carries(patch: Patch) -> None:
    whole = Membership.effective

    def effective(self: Membership, principal: Principal) -> Principal:
        return principal if principal.groups else whole(self, principal)

    patch.setattr(Membership, "effective", effective)


@mutant
def groups_within_groups_are_not_followed(patch: Patch) -> None:
    patch.setattr(Membership, "effective", lambda self, principal: principal)


@mutant
def who_is_deactivated_may_ask_on(patch: Patch) -> None:
    for name in ("deactivate", "activate"):
        patch.setattr(Membership, name, lambda self, name: None)


@mutant
def a_deletion_deletes_nothing(patch: Patch) -> None:
    patch.setattr(Loremill, "delete_document", lambda self, document_id, *, collection, principal: True)


# -- listings --------------------------------------------------------------------------------------------------------


@mutant
def listings_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "listing")


@mutant
def descriptions_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "document_info")


@mutant
def surroundings_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "siblings")


@mutant
def all_collections_are_listed(patch: Patch) -> None:
    def collections(self: Loremill, *, principal: Principal) -> list[str]:
        return self._tenant(principal.tenant).catalog.collections()

    patch.setattr(Loremill, "collections", collections)


@mutant
def what_is_forbidden_is_refused_in_other_words(patch: Patch) -> None:
    whole = Loremill.document

    def document(self: Loremill, document_id: str, *, collection: str, principal: Principal) -> Any:
        info = whole(self, document_id, collection=collection, principal=principal)
        if info is None and document_id in self._tenant(principal.tenant).catalog.document_classes(collection):
            raise ConfigError("you may not read this document")
        return info

    patch.setattr(Loremill, "document", document)


# -- HTTP ------------------------------------------------------------------------------------------------------------


@mutant
def releases_of_all_collections_are_listed(patch: Patch) -> None:
    from service import routes_system

    class Everything(set[str]):
        def __contains__(self, name: object) -> bool:
            return True

    patch.setattr(routes_system, "set", Everything, raising=False)


@mutant
def every_key_may_write(patch: Patch) -> None:
    from service import auth

    patch.setattr(auth.who_edits, "__code__", auth.who_asks.__code__)


@mutant
def ingestions_are_told_to_everybody(patch: Patch) -> None:
    from sqlalchemy import select

    from indexes.tables import ingestions

    def status(self: Inbox, name: str, *, principal: Principal) -> dict[str, Any] | None:
        with self._catalog.read() as db:
            row = db.execute(select(ingestions).where(ingestions.c.id == name)).first()
        return None if row is None else {key: value for key, value in row._mapping.items() if key != "subject"}

    patch.setattr(Inbox, "status", status)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_audit_finds_a_mutant(mutant: Mutant, tmp_path: Path, minilm: MiniLM, monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    audit = run(tmp_path, minilm, until_fault=True)
    print(mutant.__name__, audit.total("trials"), audit.first)
    assert audit.faults, f"{mutant.__name__} survived {audit.total('trials')} trials"
    assert not audit.ok
