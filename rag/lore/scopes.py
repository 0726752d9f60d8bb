"""Scopes as people write them: whom an item belongs to, who may read it there, and who may write.

    user         the principal alone
    session      the principal alone, and recalled only in the session that is named
    agent:NAME   the subject agent:NAME
    team:NAME    the members of group:NAME read and write
    tenant       everyone in the tenant reads; writing is granted

A scope is an ACL, hence an ACL class of the catalog: reading is decided where it is for documents. Writing is decided here: what a scope
gives by itself, and what was granted by hand to a subject or a group.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from indexes.errors import AccessDenied, ConfigError
from indexes.vocabulary import EVERYONE, Acl, Principal

USER, SESSION, TENANT = "user", "session", "tenant"
FORMS = "user, session, agent:NAME, team:NAME or tenant"
_NAMED = re.compile(r"(agent|team):(\S(?:.*\S)?)")
_MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope of one principal. `text` is how it was written; `acl` says who reads; `writers` are names that may write by themselves."""

    text: str
    acl: Acl
    writers: frozenset[str]


def scope_of(text: object, principal: Principal) -> Scope:
    """Return what a scope means for a principal.

    Raises:
        ConfigError: there is no such scope.
    """
    own = principal.subject
    if text in (USER, SESSION):
        return Scope(str(text), Acl((own,)), frozenset({own}))
    if text == TENANT:
        return Scope(TENANT, Acl((EVERYONE,)), frozenset())
    named = _NAMED.fullmatch(text) if isinstance(text, str) else None
    if named is None or len(named[2]) > _MAX_NAME:
        raise ConfigError(f"unknown scope {str(text)[:60]!r}: use {FORMS}")
    reader = f"agent:{named[2]}" if named[1] == "agent" else f"group:{named[2]}"
    return Scope(f"{named[1]}:{named[2]}", Acl((reader,)), frozenset({reader}))


def check_writer(scope: Scope, principal: Principal, granted: Collection[str] = ()) -> None:
    """Refuse a principal that may not write in a scope.

    Args:
        principal: with all its groups.
        granted: names to whom writing there was granted.
    Raises:
        AccessDenied: as for a scope that nobody has ever used.
    """
    if principal.names.isdisjoint(scope.writers | frozenset(granted)):
        raise AccessDenied(
            principal,
            f"{principal.subject} may not write in the scope {scope.text!r}; ask an administrator for a grant",
        )
