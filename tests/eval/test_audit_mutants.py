"""Does the audit find what it is for? Each mutant takes one guard away; the audit must fail on every one, and on none without.

A mutant that survives is a door that the audit does not watch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.audit import DOORS, MODEL_DOORS, PARROT, LeakAudit, audit_leaks, parrot
from eval.audit.run import TRIALS_AN_OPERATION
from indexes import memory_rows
from indexes.access import AccessFilter
from indexes.builds import Build
from indexes.catalog import Catalog
from indexes.columns import Columns
from indexes.directory import Identity, Role
from indexes.errors import ConfigError, ReleaseNotFound
from indexes.faiss import FaissIndex
from indexes.lexical import LexicalIndex, idf
from indexes.membership import Membership
from indexes.memory_index import MemoryIndex
from indexes.minilm import MiniLM
from indexes.vectors import Found
from indexes.vocabulary import Principal
from rag import memory_rooms, rating
from rag.guard import Guard
from rag.history import History
from rag.inbox import Inbox
from rag.loremill import Loremill
from rag.retrieve import Retriever, SearchResult
from rag.serving import Serving
from service import mcp, routes_memories
from service.audit_doors import http_doors
from service.identify import Identifier
from tests.embedding import EachTextOnce

pytestmark = pytest.mark.slow

TRIALS = 400
SEED = 150
Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]
MUTANTS: dict[Mutant, tuple[str, ...]] = {}


@pytest.fixture(scope="module")
def embedder(minilm: MiniLM) -> EachTextOnce:
    """Of one seed the documents are the same for every mutant."""
    return EachTextOnce(minilm)


def run(place: Path, embedder: EachTextOnce, *, by: Collection[str] = ()) -> LeakAudit:
    """Audit a new home by all doors, or by some until one finds a fault."""
    with parrot() as url, Loremill.open(place / "home", chunk_tokens=64, openai_base_url=url, **PARROT) as mill:
        mill.embedder = embedder
        doors = {**DOORS, **MODEL_DOORS, **http_doors(mill)}
        chosen = {name: doors[name] for name in by} or doors
        return audit_leaks(
            mill,
            folder=place / "documents",
            trials=TRIALS,
            seed=SEED,
            doors=chosen,
            trials_an_operation=6 if by else TRIALS_AN_OPERATION,
            until_fault=bool(by),
        )


def test_the_product_as_it_is_passes_by_every_door(tmp_path: Path, embedder: EachTextOnce) -> None:
    audit = run(tmp_path, embedder)
    assert audit.ok, audit.to_json()["first"]
    assert audit.upper_bound_95 == pytest.approx(3 / TRIALS)
    assert [name for name, door in audit.doors.items() if not door.trials] == []


def mutant(*doors: str) -> Callable[[Mutant], Mutant]:
    """Mark a function that takes a guard away, with the doors that watch this guard."""

    def mark(mutate: Mutant) -> Mutant:
        MUTANTS[mutate] = doors
        return mutate

    return mark


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


@mutant("search dense")
def vectors_are_not_filtered(patch: Patch) -> None:
    widen(patch, FaissIndex, "search")


@mutant("search lexical")
def postings_are_not_filtered(patch: Patch) -> None:
    whole = LexicalIndex._access_query
    patch.setattr(LexicalIndex, "_access_query", lambda self, access, where: whole(self, everything(access), where))


@mutant("scores")
def rarity_is_counted_over_all_rows(patch: Patch) -> None:
    def count(self: Any, name: str, term: str, access: AccessFilter) -> tuple[float, float]:
        return idf(len(self), self._searcher.doc_freq(name, term)), 1.0

    patch.setattr(LexicalIndex, "_count_rarity", count)


@mutant("search candidate")
def releases_that_are_not_live_are_not_filtered(patch: Patch) -> None:
    whole = Retriever._search

    def search(self: Retriever, wanted: Any, state: Any, access: AccessFilter, scope: Any) -> Any:
        return whole(self, wanted, state, access if wanted.release is None else everything(access), scope)

    patch.setattr(Retriever, "_search", search)


@mutant("search candidate")
def releases_are_found_by_their_id_in_any_collection(patch: Patch) -> None:
    whole = Serving.release

    def release(self: Serving, state: Any, release_id: str | None = None) -> Any:
        try:
            return whole(self, state, release_id)
        except ReleaseNotFound:
            return whole(self, state)

    patch.setattr(Serving, "release", release)


@mutant("search where")
def where_takes_the_place_of_the_filter(patch: Patch) -> None:
    from indexes.search import search_rows as whole

    def search_rows(*arguments: Any, access: AccessFilter, where: Any = None, **more: Any) -> Any:
        return whole(*arguments, access=access if where is None else everything(access), where=where, **more)

    patch.setattr("rag.retrieve.search_rows", search_rows)
    widen(patch, Build, "rows_matching")  # it holds the filter down to readable rows of its own


@mutant("search where")
def columns_keep_the_metadata_they_were_read_with(patch: Patch) -> None:
    whole = Columns._known
    patch.setattr(Columns, "_known", lambda self, keys, epoch: whole(self, keys, 0))


@mutant("search lexical", "search dense")
def indexes_keep_the_rights_they_were_opened_with(patch: Patch) -> None:
    whole = Build.carry_rights

    def carry_rights(self: Build, *arguments: Any, **more: Any) -> None:
        if self.epoch is None:
            whole(self, *arguments, **more)

    patch.setattr(Build, "carry_rights", carry_rights)


@mutant("race")
def confirmation_lets_all_through(patch: Patch) -> None:
    widen(patch, Catalog, "confirm")


# -- rights ----------------------------------------------------------------------------------------------------------


@mutant("documents")
def deny_is_ignored(patch: Patch) -> None:
    patch.setattr("indexes.access.may_read", lambda acl, principal: not principal.names.isdisjoint(acl.allow))


@mutant("other tenant")
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


@mutant("documents")
def memberships_are_remembered_for_ever(patch: Patch) -> None:
    patch.setattr(Membership, "generation", lambda self: 0)


@mutant("documents")
def groups_are_those_that_the_object_carries(patch: Patch) -> None:
    whole = Membership.effective

    def effective(self: Membership, principal: Principal) -> Principal:
        return principal if principal.groups else whole(self, principal)

    patch.setattr(Membership, "effective", effective)


@mutant("documents")
def groups_within_groups_are_not_followed(patch: Patch) -> None:
    patch.setattr(Membership, "effective", lambda self, principal: principal)


@mutant("deactivated")
def who_is_deactivated_may_ask_on(patch: Patch) -> None:
    for name in ("deactivate", "activate"):
        patch.setattr(Membership, name, lambda self, name: None)


@mutant("documents")
def a_deletion_deletes_nothing(patch: Patch) -> None:
    patch.setattr(Loremill, "delete_document", lambda self, document_id, *, collection, principal: True)


# -- what is kept, and what is written while rights change ----------------------------------------------------------


def share_scopes(patch: Patch, **same: Any) -> None:
    """All scopes look alike in some field, and with them the keys of what is kept."""
    whole = Retriever._scope
    patch.setattr(Retriever, "_scope", lambda self, *arguments: replace(whole(self, *arguments), **same))


@mutant("repeated")
def what_is_kept_is_shared_by_people_of_other_rights(patch: Patch) -> None:
    share_scopes(patch, classes=frozenset())


@mutant("repeated")
def what_is_kept_outlives_a_change_of_rights(patch: Patch) -> None:
    share_scopes(patch, epoch=0)


@mutant("ask stream", "ask a model")
def nobody_watches_while_an_answer_is_written(patch: Patch) -> None:
    patch.setattr(Guard, "lost", lambda self, chunk_ids: set())


@mutant("ask a model")
def a_model_is_shown_the_conversation_as_it_was(patch: Patch) -> None:
    patch.setattr("rag.attempt.readable_history", lambda turns, **_: History(tuple(turns)))


@mutant("audit log")
def the_audit_log_keeps_questions(patch: Patch) -> None:
    patch.setenv("LOREMILL_AUDIT_QUERIES", "true")


# -- listings --------------------------------------------------------------------------------------------------------


@mutant("documents")
def listings_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "listing")


@mutant("document")
def descriptions_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "document_info")


@mutant("around")
def surroundings_are_not_filtered(patch: Patch) -> None:
    widen(patch, Catalog, "siblings")


@mutant("collections")
def all_collections_are_listed(patch: Patch) -> None:
    def collections(self: Loremill, *, principal: Principal) -> list[str]:
        return self._tenant(principal.tenant).catalog.collections()

    patch.setattr(Loremill, "collections", collections)


@mutant("refusals")
def what_is_forbidden_is_refused_in_other_words(patch: Patch) -> None:
    whole = Loremill.document

    def document(self: Loremill, document_id: str, *, collection: str, principal: Principal) -> Any:
        info = whole(self, document_id, collection=collection, principal=principal)
        if info is None and document_id in self._tenant(principal.tenant).catalog.document_classes(collection):
            raise ConfigError("you may not read this document")
        return info

    patch.setattr(Loremill, "document", document)


# -- HTTP ------------------------------------------------------------------------------------------------------------


@mutant("http models")
def releases_of_all_collections_are_listed(patch: Patch) -> None:
    from service import routes_releases

    class Everything(set[str]):
        def __contains__(self, name: object) -> bool:
            return True

    patch.setattr(routes_releases, "set", Everything, raising=False)


@mutant("http reader writes")
def every_key_may_write(patch: Patch) -> None:
    from service import auth

    patch.setattr(auth.who_edits, "__code__", auth.who_asks.__code__)


@mutant("http ingestion")
def ingestions_are_told_to_everybody(patch: Patch) -> None:
    from sqlalchemy import select

    from indexes.tables import ingestions

    def status(self: Inbox, name: str, *, principal: Principal) -> dict[str, Any] | None:
        with self._catalog.read() as db:
            row = db.execute(select(ingestions).where(ingestions.c.id == name)).first()
        return None if row is None else {key: value for key, value in row._mapping.items() if key != "subject"}

    patch.setattr(Inbox, "status", status)


@mutant("ratings")
def a_rating_shows_its_answer_to_any_administrator(patch: Patch) -> None:
    patch.setattr(rating, "_visible", lambda one, readable: one)


@mutant("ratings")
def anything_may_be_cited_in_a_rating(patch: Patch) -> None:
    patch.setattr(rating, "_cited", lambda *arguments: ())


@mutant("http act as")
def everyone_may_act_as_anyone(patch: Patch) -> None:
    def act_as(self: Identifier, administrator: Identity, wanted: bytes) -> Identity:
        return Identity(self._directory.resolve(wanted.decode()), Role.READER, administrator.key_id)

    patch.setattr(Identifier, "act_as", act_as)


@mutant("http audit")
def every_key_may_read_the_audit_log(patch: Patch) -> None:
    patch.setattr(Role, "includes", lambda self, other: True)


@mutant("http search")
def everyone_is_told_how_much_was_scanned(patch: Patch) -> None:
    whole = SearchResult.to_json
    patch.setattr(SearchResult, "to_json", lambda self, **_: whole(self, whole_plan=True))


@mutant("http search", "http where")
def the_plan_counts_every_row(patch: Patch) -> None:
    whole = FaissIndex.search

    def search(self: FaissIndex, *arguments: Any, **more: Any) -> list[Found]:
        found = whole(self, *arguments, **more)
        return [replace(one, plan=replace(one.plan, readable=len(self))) for one in found]

    patch.setattr(FaissIndex, "search", search)


# -- memory ----------------------------------------------------------------------------------------------------------


@mutant("memory remember", "memory recall")
def memorys_search_is_not_filtered(patch: Patch) -> None:
    widen(patch, MemoryIndex, "candidates")


@mutant("memory remember", "memory refusals")
def a_memory_is_given_to_who_knows_its_id(patch: Patch) -> None:
    whole = memory_rows.current
    patch.setattr(memory_rows, "current", lambda db, item_id, *, access: whole(db, item_id, access=everything(access)))


@mutant("memory remember")
def everyone_may_write_in_every_scope(patch: Patch) -> None:
    patch.setattr(memory_rooms, "check_writer", lambda *_: None)


@mutant("memory remember", "http memory names")
def names_in_a_body_are_not_compared_with_the_key(patch: Patch) -> None:
    patch.setattr(routes_memories, "_scope_of", lambda principal, user_id, agent_id: None)


@mutant("memory remember", "mcp memory recall")
def tools_answer_as_whoever_called_first(patch: Patch) -> None:
    whole, first = mcp._who_requests, list[Identity]()

    def who(context: Any) -> Identity:
        first.append(whole(context))
        return first[0]

    patch.setattr(mcp, "_who_requests", who)


@pytest.mark.parametrize(("mutate", "doors"), MUTANTS.items(), ids=lambda one: getattr(one, "__name__", " "))
def test_the_audit_finds_a_mutant(
    mutate: Mutant, doors: tuple[str, ...], tmp_path: Path, embedder: EachTextOnce, monkeypatch: Patch
) -> None:
    mutate(monkeypatch)
    audit = run(tmp_path, embedder, by=doors)
    assert audit.faults, f"survived {audit.total('trials')} trials"
    assert not audit.ok
