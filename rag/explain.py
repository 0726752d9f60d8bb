"""Why a principal may read a document, or may not: the rule that gave the rights and the way through the groups.

For operators: it tells that a document exists, and holds no text of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from indexes.access import UNREADABLE, deciding, may_read, reason
from indexes.catalog import Catalog
from indexes.errors import AccessDenied, ConfigError
from indexes.path_pattern import compile_pattern
from indexes.rights import acl_of_class, rules
from indexes.vocabulary import NOBODY, Acl, Principal

if TYPE_CHECKING:
    from indexes.directory import Directory


@dataclass(frozen=True, slots=True)
class Explanation:
    """One document and one principal.

    Args:
        because: the name on the list that decides.
        group_path: from the subject to the group that decides, through the groups between; empty where no group does.
        acl: what holds.
        rules: what made it so: the source's rule, then those set above it, the last one having the last word.
    """

    document_id: str
    uri: str
    collection: str
    principal: str
    readable: bool
    because: str
    group_path: tuple[str, ...]
    acl: Acl
    rules: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(
    catalog: Catalog, directory: Directory, document: str, principal: Principal, collection: str | None = None
) -> list[Explanation]:
    """Explain every document of that id or uri, by collection.

    Args:
        collection: only there.
    Raises:
        ConfigError: the tenant has no such document.
    """
    from sqlalchemy import or_, select

    from indexes.queries import rights_of_documents
    from indexes.tables import documents, rights

    if principal.tenant != catalog.tenant:
        raise AccessDenied(principal)
    columns = (*(documents.c[name] for name in ("collection", "document_id", "uri", "path", "rule")), rights.c.class_id)
    query = (
        select(*columns)
        .select_from(documents.join(rights, rights_of_documents()))
        .where(or_(documents.c.document_id == document, documents.c.uri == document))
        .order_by(documents.c.collection, documents.c.document_id)
    )
    if collection is not None:
        query = query.where(documents.c.collection == collection)
    with catalog.read() as db:
        found = [
            (row, NOBODY if row.class_id == UNREADABLE else acl_of_class(db, row.class_id), _above(db, row))
            for row in db.execute(query)
        ]
    if not found:
        raise ConfigError(f"no document has the id or uri {document!r}; loremill lineage and quarantine list may help")
    return [_explanation(directory, principal, row, acl, above) for row, acl, above in found]


def _above(db: Any, row: Any) -> list[str]:
    """The rules set above the source's that are about the document, in words."""
    said = []
    for rule in rules(db, row.collection):
        about_path = rule.path is not None and compile_pattern(rule.path).fullmatch(row.path) is not None
        if about_path or rule.document_id == row.document_id:
            subject = "this document" if rule.path is None else rule.path
            by = f" by {rule.by}" if rule.by else ""
            said.append(f"rule {rule.rule_id}, set {rule.created[:19]}{by}: {subject}")
    return said


def _explanation(directory: Directory, stated: Principal, row: Any, acl: Acl, above: list[str]) -> Explanation:
    withdrawn = row.class_id == UNREADABLE
    deciders: tuple[str, ...] = ()
    try:
        principal = directory.effective(stated)
    except AccessDenied:
        principal, because = stated, f"denied: {stated.subject} may do nothing any more"
    else:
        deciders = deciding(acl, principal)
        because = "denied: the document is withdrawn and about to be deleted" if withdrawn else reason(acl, principal)
    groups = [name for name in deciders if name.startswith("group:")]
    return Explanation(
        document_id=row.document_id,
        uri=row.uri,
        collection=row.collection,
        principal=stated.subject,
        readable=because.startswith("allowed") and may_read(acl, principal),
        because=because,
        group_path=directory.group_path(stated, groups[0]) if groups else (),
        acl=acl,
        rules=(row.rule or "not recorded by the version that ingested it", *above),
    )
