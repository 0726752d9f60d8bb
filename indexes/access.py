"""The one choke point: who may read what.

Rights are a fact of the catalog, never of an index: each document has an ACL class (one distinct allow/deny pair), a principal is
turned into the set of classes it may read, and every search takes that set as a required argument. An edit moves a document to another
class and touches no vector. Hits are confirmed against the catalog once more before they leave (`Catalog.confirm`).

    principal --(directory: its groups now, nested ones too)--> names --(catalog: ACL classes)--> AccessFilter
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.errors import AccessDenied
from indexes.vocabulary import Acl, Principal

Int32Vector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

UNREADABLE = -1
"""Class of a document that is gone or withdrawn: no principal holds it."""


class Members(Protocol):
    """Who is in which group; `indexes.directory.Directory` is one."""

    def effective(self, principal: Principal) -> Principal:
        """Return the principal with every group that it is in at this moment, through other groups too.

        Raises:
            AccessDenied: it is known and may do nothing any more.
        """


def may_read(acl: Acl, principal: Principal) -> bool:
    """Return whether `acl` lets `principal` read. Deny beats allow; an empty `allow` admits nobody."""
    names = principal.names
    return not names.isdisjoint(acl.allow) and names.isdisjoint(acl.deny)


def deciding(acl: Acl, principal: Principal) -> tuple[str, ...]:
    """Return the names that decide, sorted: those of the principal that are denied, else those that are allowed."""
    names = principal.names
    return tuple(sorted(names.intersection(acl.deny) or names.intersection(acl.allow)))


def reason(acl: Acl, principal: Principal) -> str:
    """Say which names decide, for people who ask why."""
    names = ", ".join(deciding(acl, principal))
    if may_read(acl, principal):
        return f"allowed: {names} is on the allow list"
    if names and not principal.names.isdisjoint(acl.deny):
        return f"denied: {names} is on the deny list"
    return "denied: nobody is on the allow list" if not acl.allow else "denied: not on the allow list"


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """The ACL classes one principal may read in one tenant. Only `readable_classes` makes one.

    `principal` has all its groups; `epoch` is that of the collection's rights which it was made for, 0 if for none in particular.
    """

    tenant: str
    principal: Principal
    classes: frozenset[int]
    epoch: int = 0

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


class Readers:
    """Every ACL class of a tenant, found by the names that it allows: what a principal may read is told without a look at all others.

    A class never changes its meaning, so that they are only added. Safe among threads.
    """

    def __init__(self) -> None:
        self.classes: dict[int, Acl] = {}
        self.newest = 0
        """The greatest class id, 0 where there is none."""
        self._allowing: dict[str, set[int]] = {}
        self._lock = Lock()

    def add(self, classes: Mapping[int, Acl]) -> None:
        if not classes:
            return
        with self._lock:
            self.classes = {**self.classes, **classes}
            for class_id, acl in classes.items():
                for name in acl.allow:
                    self._allowing[name] = self._allowing.get(name, set()) | {class_id}
            self.newest = max(self.newest, *classes, 0)

    def admitting(self, principal: Principal) -> dict[int, Acl]:
        """Return the classes that allow one of the principal's names; `readable_classes` says which of them it may read."""
        found = set[int]().union(*(self._allowing.get(name, ()) for name in principal.names))
        return {class_id: self.classes[class_id] for class_id in found}


def readable_classes(classes: Mapping[int, Acl], *, tenant: str, principal: Principal, epoch: int = 0) -> AccessFilter:
    """Turn a principal into the set of classes it may read.

    Args:
        classes: every ACL class of the tenant.
        tenant: whose classes these are.
        principal: who asks, with all its groups.
        epoch: of the rights that are asked about.
    Raises:
        AccessDenied: the principal belongs to another tenant.
    """
    if principal.tenant != tenant:
        raise AccessDenied(principal)
    readable = frozenset(class_id for class_id, acl in classes.items() if may_read(acl, principal))
    return AccessFilter(tenant, principal, readable, epoch)
