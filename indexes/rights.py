"""Rights in the catalog: what holds for each document, and the rules that stand above what its source says.

A document's source gives it an ACL at each ingestion (acl.yaml, its own row, `--allow`). Rules set here, by pattern or for one
document, are applied on top, in order, also to what is ingested later, so that no ingestion undoes them. Every change is one
transaction that raises the collection's epoch: the next query of every process sees it, and no vector moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.access import UNREADABLE
from indexes.batches import batched
from indexes.catalog import Catalog
from indexes.catalog_file import now
from indexes.dialects import insert_or_replace
from indexes.errors import ConfigError
from indexes.path_pattern import compile_pattern, plain_folder
from indexes.vocabulary import Acl

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True, slots=True)
class AclRule:
    """A rule above the sources', for a path pattern or for one document. `allow` is None where it only denies."""

    rule_id: int
    path: str | None
    document_id: str | None
    allow: tuple[str, ...] | None
    deny: tuple[str, ...]
    created: str = ""
    by: str = ""

    def apply(self, before: Acl) -> Acl:
        """Return what holds after this rule, given what held before it."""
        if self.allow is None:
            return Acl(before.allow, (*before.deny, *self.deny))
        return Acl(self.allow, self.deny)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RightsChange:
    """What a change of rules did. `documents` counts those whose rights are others now."""

    rule: AclRule
    documents: int
    epoch: int


def class_id(db: Connection, acl: Acl) -> int:
    """Return the id of the ACL's class, making it if it is new. A class never changes its meaning."""
    from sqlalchemy import insert, select

    from indexes.tables import acl_classes as table

    key = json.dumps([acl.allow, acl.deny])
    found = db.execute(select(table.c.class_id).where(table.c.key == key)).scalar()
    if found is None:
        row = {"allow": list(acl.allow), "deny": list(acl.deny), "key": key}
        found = db.execute(insert(table).returning(table.c.class_id), row).scalar_one()
    return int(found)


def acl_of_class(db: Connection, class_id: int) -> Acl:
    """Return the meaning of a class."""
    from sqlalchemy import select

    from indexes.tables import acl_classes as table

    row = db.execute(select(table.c.allow, table.c.deny).where(table.c.class_id == class_id)).one()
    return Acl(tuple(row.allow), tuple(row.deny))


def rules(db: Connection, collection: str) -> list[AclRule]:
    """Return the collection's rules in the order in which they are applied."""
    from sqlalchemy import select

    from indexes.tables import acl_rules as table

    query = select(table).where(table.c.collection == collection).order_by(table.c.rule_id)
    return [
        AclRule(
            row.rule_id,
            row.path,
            row.document_id,
            None if row.allow is None else tuple(row.allow),
            tuple(row.deny),
            row.created,
            row.by,
        )
        for row in db.execute(query)
    ]


def set_rule(
    catalog: Catalog,
    collection: str,
    *,
    path: str | None = None,
    document_id: str | None = None,
    allow: Sequence[str] | None = None,
    deny: Sequence[str] = (),
    by: str = "",
) -> RightsChange:
    """Add a rule behind those there are, and apply it. A full one takes the place of earlier ones about the same.

    Args:
        path: pattern as in acl.yaml; or
        document_id: of one document, whether it is stored yet or not.
        allow: who may read; None keeps what holds and only adds to deny.
        by: subject of who sets it.
    Raises:
        ConfigError: neither or both of path and document_id, neither allow nor deny, or a malformed pattern or name.
        CollectionNotFound: there is no such collection.
    Cost: one pass over the collection's rows of `rights`, and one narrow write for each document whose class changes.
    """
    from sqlalchemy import delete, insert

    from indexes.tables import acl_rules as table

    if (path is None) == (document_id is None):
        raise ConfigError("a rule is about either a path pattern or one document")
    if allow is None and not deny:
        raise ConfigError("a rule needs allow or deny; to let nobody read, give an empty allow")
    acl = Acl(tuple(allow or ()), tuple(deny))
    rule = AclRule(0, path, document_id, None if allow is None else acl.allow, acl.deny, now(), by)
    about = _about(rule)
    catalog.state(collection)
    row = {name: getattr(rule, name) for name in ("path", "document_id", "deny", "created", "by")}
    row |= {"collection": collection, "allow": rule.allow, "deny": list(rule.deny)}
    with catalog.write() as db:
        if rule.allow is not None:
            same = (table.c.path == path) if path is not None else (table.c.document_id == document_id)
            db.execute(delete(table).where(table.c.collection == collection, same))
        number = db.execute(insert(table).returning(table.c.rule_id), row).scalar_one()
        epoch = raise_epoch(db, collection)
        changed = _apply(db, collection, rule, epoch, about)
    stored = AclRule(number, path, document_id, rule.allow, rule.deny, rule.created, by)
    return RightsChange(stored, changed, epoch)


def remove_rule(catalog: Catalog, collection: str, rule_id: int) -> RightsChange:
    """Remove a rule; what it was about goes back to what the source and the other rules say.

    Raises:
        ConfigError: the collection has no such rule.
    """
    from sqlalchemy import delete

    from indexes.tables import acl_rules as table

    with catalog.write() as db:
        known = {rule.rule_id: rule for rule in rules(db, collection)}
        if (rule := known.pop(rule_id, None)) is None:
            raise ConfigError(f"collection {collection!r} has no rule {rule_id}; see loremill acl list")
        db.execute(delete(table).where(table.c.rule_id == rule_id))
        epoch = raise_epoch(db, collection)
        before = _classes_of(db, collection, _about(rule))
        settle(db, collection, before, epoch)
        after = _classes_of(db, collection, _about(rule))
    changed = sum(after[name] != class_id for name, class_id in before.items())
    return RightsChange(rule, changed, epoch)


def withdraw(catalog: Catalog, collection: str, document_ids: Sequence[str]) -> None:
    """Make documents with their attachments readable by nobody, from this moment on, until they are deleted for good.

    It waits for no ingestion: only rights are written here, and what an ingestion prepares meanwhile does not undo it.
    """
    from sqlalchemy import select, update

    from indexes.tables import documents, rights

    with catalog.write() as db:
        epoch = raise_epoch(db, collection)
        for batch in batched(document_ids):
            attached = select(documents.c.document_id).where(
                documents.c.collection == collection, documents.c.parent.in_(batch)
            )
            named = rights.c.document_id.in_(batch) | rights.c.document_id.in_(attached)
            gone = update(rights).where(rights.c.collection == collection, named)
            db.execute(gone.values(class_id=UNREADABLE, epoch=epoch))


def withdrawn(catalog: Catalog, collection: str) -> list[str]:
    """Return the documents that are withdrawn and still stored, by id."""
    from sqlalchemy import select

    from indexes.tables import rights

    query = select(rights.c.document_id).where(rights.c.collection == collection, rights.c.class_id == UNREADABLE)
    with catalog.read() as db:
        return list(db.execute(query.order_by(rights.c.document_id)).scalars())


def raise_epoch(db: Connection, collection: str) -> int:
    """Tell every process that rights or documents of the collection have changed; return the new epoch."""
    from sqlalchemy import update

    from indexes.tables import collections

    raised = update(collections).where(collections.c.name == collection).values(epoch=collections.c.epoch + 1)
    return int(db.execute(raised.returning(collections.c.epoch)).scalar_one())


def settle(db: Connection, collection: str, document_ids: Iterable[str], epoch: int) -> None:
    """Write what holds for documents anew: what their sources say, changed by the rules. A withdrawn one stays withdrawn."""
    from sqlalchemy import case, literal, select

    from indexes.queries import rights_of_documents
    from indexes.tables import documents, rights

    withdrawn = rights.c.class_id == UNREADABLE
    standing = rules(db, collection)
    for batch in batched(document_ids):
        source_says = (
            select(
                documents.c.collection,
                documents.c.document_id,
                documents.c.path,
                documents.c.class_id,
                case((withdrawn, UNREADABLE), else_=documents.c.class_id),
                literal(epoch),
            )
            .select_from(documents.outerjoin(rights, rights_of_documents()))
            .where(documents.c.collection == collection, documents.c.document_id.in_(batch))
        )
        columns = ["collection", "document_id", "path", "source_class", "class_id", "epoch"]
        db.execute(insert_or_replace(db, rights).from_select(columns, source_says))
        for rule in standing:
            _apply(db, collection, rule, epoch, _about(rule) & rights.c.document_id.in_(batch))


def _apply(db: Connection, collection: str, rule: AclRule, epoch: int, about: ColumnElement[bool]) -> int:
    """Move what the rule is about into the classes that it leads to; return how many documents moved."""
    from sqlalchemy import case, select, update

    from indexes.tables import rights

    stored = (rights.c.collection == collection) & (rights.c.class_id != UNREADABLE) & about
    if rule.allow is not None:
        after = class_id(db, Acl(rule.allow, rule.deny))
        move = update(rights).where(stored, rights.c.class_id != after)
        return int(db.execute(move.values(class_id=after, epoch=epoch)).rowcount)
    present = db.execute(select(rights.c.class_id).where(stored).distinct()).scalars().all()
    leads_to = {before: class_id(db, rule.apply(acl_of_class(db, before))) for before in present}
    changing = {before: after for before, after in leads_to.items() if before != after}
    if not changing:
        return 0
    move = update(rights).where(stored, rights.c.class_id.in_(changing))
    to = case(changing, value=rights.c.class_id)
    return int(db.execute(move.values(class_id=to, epoch=epoch)).rowcount)


def _about(rule: AclRule) -> ColumnElement[bool]:
    """Return the condition on `rights` that picks what the rule is about.

    Below a plain folder it is a range of paths; only other patterns need a regular expression a row.
    """
    from sqlalchemy import true

    from indexes.tables import rights

    if rule.path is None:
        return rights.c.document_id == rule.document_id
    pattern = compile_pattern(rule.path)
    folder, rest = plain_folder(rule.path)
    within = true() if not folder else (rights.c.path >= f"{folder}/") & (rights.c.path < f"{folder}0")  # 0 follows /
    if rest == "**":
        return within
    return within & rights.c.path.regexp_match(rf"(?s)\A(?:{pattern.pattern})\Z")


def _classes_of(db: Connection, collection: str, about: ColumnElement[bool]) -> dict[str, int]:
    """Return document id -> class of what a rule is about."""
    from sqlalchemy import select

    from indexes.tables import rights

    query = select(rights.c.document_id, rights.c.class_id).where(rights.c.collection == collection, about)
    return {row.document_id: row.class_id for row in db.execute(query)}
