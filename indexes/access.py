"""The one choke point: who may read what.

Rights are a fact of the catalog, never of an index: each document has an ACL class (one distinct allow/deny pair), a principal is
turned into the set of classes it may read, and every search takes that set as a required argument. An edit moves a document to another
class and touches no vector. Hits are confirmed against the catalog once more before they leave (`Catalog.confirm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexes.errors import AccessDenied
from indexes.vocabulary import Acl, Principal

Int32Vector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

UNREADABLE = -1
"""Class of a row whose document is gone: no principal holds it."""


def may_read(acl: Acl, principal: Principal) -> bool:
    """Return whether `acl` lets `principal` read. Deny beats allow; an empty `allow` admits nobody."""
    names = principal.names
    return not names.isdisjoint(acl.allow) and names.isdisjoint(acl.deny)


def reason(acl: Acl, principal: Principal) -> str:
    """Say which name decides, for people who ask why."""
    names = principal.names
    if denied := sorted(names.intersection(acl.deny)):
        return f"denied: {', '.join(denied)} is on the deny list"
    if allowed := sorted(names.intersection(acl.allow)):
        return f"allowed: {', '.join(allowed)} is on the allow list"
    return "denied: nobody is on the allow list" if not acl.allow else "denied: not on the allow list"


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """The ACL classes one principal may read in one tenant. Only `readable_classes` makes one."""

    tenant: str
    principal: Principal
    classes: frozenset[int]

    def mask(self, row_classes: Int32Vector) -> BoolVector:
        """Return, for each row's class, whether the row may be read. `UNREADABLE` never may.

        Cost: O(rows).
        """
        if not self.classes or not len(row_classes):
            return np.zeros(len(row_classes), dtype=bool)
        lookup = np.zeros(max(int(row_classes.max()), max(self.classes)) + 2, dtype=bool)
        lookup[list(self.classes)] = True
        lookup[UNREADABLE] = False
        return lookup[row_classes]


def readable_classes(classes: Mapping[int, Acl], *, tenant: str, principal: Principal) -> AccessFilter:
    """Turn a principal into the set of classes it may read.

    Args:
        classes: every ACL class of the tenant.
        tenant: whose classes these are.
        principal: who asks.
    Raises:
        AccessDenied: the principal belongs to another tenant.
    """
    if principal.tenant != tenant:
        raise AccessDenied(principal)
    readable = frozenset(class_id for class_id, acl in classes.items() if may_read(acl, principal))
    return AccessFilter(tenant, principal, readable)
