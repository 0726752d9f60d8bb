"""The directory: which names are principals, and which API keys speak for them. One SQLite file, `HOME/directory.db`.

A key is bound to a name or to a literal. A name is resolved at each request, so a group taken away is gone for the next
request of every key, and a key whose principal was removed, deactivated, renamed or moved opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from indexes.directory_file import grow
from indexes.errors import AccessDenied, ConfigError, ConfigFileError
from indexes.groups import containing, gather
from indexes.membership import Membership
from indexes.principals import read_principals
from indexes.vocabulary import Principal

_PREFIX = "lm"


class Role(StrEnum):
    """What a key or token may do; each role may do what those before it may. None widens what may be read.

    A reader asks; an editor puts and deletes documents; a curator changes rights and handles the quarantine; an
    administrator manages principals and keys, reads the audit, and may ask as somebody else.
    """

    READER = "reader"
    EDITOR = "editor"
    CURATOR = "curator"
    ADMINISTRATOR = "administrator"

    def includes(self, other: Role) -> bool:
        """Return whether whoever has this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as listed: everything about it but the secret. `principal` is the name or literal it is bound to."""

    key_id: str
    principal: str
    role: Role
    label: str
    created: str
    revoked: str | None

    def to_json(self) -> dict[str, str | None]:
        return {
            "key_id": self.key_id,
            "principal": self.principal,
            "role": self.role.value,
            "label": self.label,
            "created": self.created,
            "revoked": self.revoked,
        }


@dataclass(frozen=True, slots=True)
class PrincipalInfo:
    """An imported name as listed; `principal` has all its groups, also while it is not active."""

    name: str
    principal: Principal
    active: bool

    def to_json(self) -> dict[str, Any]:
        who = self.principal
        return {
            "name": self.name,
            "tenant": who.tenant,
            "subject": who.subject,
            "groups": list(who.groups),
            "active": self.active,
        }


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request speaks for, as of this moment.

    `key_id` is the API key's, or `jwt:` and the token's `jti`. `actor` is the subject of the administrator who asks as
    `principal`; None where `principal` asks.
    """

    principal: Principal
    role: Role
    key_id: str
    actor: str | None = None


def _hash(secret: str) -> str:
    """Hash a secret for storage. With 256 random bits there is no dictionary to try, hence no need of a slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Directory(Membership):
    """Principals, their groups and API keys of one home. Safe among threads; processes see each other's changes at once."""

    def import_principals(self, path: str | Path, *, tenant: str | None = None) -> int:
        """Make the file's entries the principals and groups of every tenant that it names; return how many principals it has.

        Principals and memberships of those tenants that the file no longer has are removed, which silences their keys at
        once; other tenants are left alone. All or nothing: one transaction.

        Args:
            path: `principals.yaml`, or SCIM resources as JSON.
            tenant: where the file does not say.
        Raises:
            ConfigFileError: the file is malformed, naming the line, or one of its names belongs to a tenant that it does
                not name (taking a name over would hand its keys to another tenant).
        """
        from sqlalchemy import select

        from indexes.directory_tables import memberships, principals

        roster = read_principals(Path(path), tenant=tenant)
        with self._write() as db:
            for table in (principals, memberships):
                db.execute(table.delete().where(table.c.tenant.in_(sorted(roster.tenants))))
            for name in db.execute(select(principals.c.name)).scalars():
                if name in roster.principals:
                    raise ConfigFileError(f"{path}: the name {name!r} is in use in another tenant; choose another name")
            if roster.principals:
                rows = [
                    {
                        "name": name,
                        "tenant": one.principal.tenant,
                        "subject": one.principal.subject,
                        "active": one.active,
                    }
                    for name, one in roster.principals.items()
                ]
                db.execute(principals.insert(), rows)
            if roster.memberships:
                db.execute(memberships.insert(), [member._asdict() for member in roster.memberships])
            grow(db)
        for name in sorted(roster.tenants):
            counted = sum(entry.principal.tenant == name for entry in roster.principals.values())
            self._tell(name, "directory", change="import", principals=counted)
        return len(roster.principals)

    def list_principals(self) -> list[PrincipalInfo]:
        """Return every imported name, by name, with all the groups that it is in, directly or not.

        Cost: O(principals + memberships).
        """
        from sqlalchemy import select

        from indexes.directory_tables import memberships, principals

        with self._read() as db:
            rows = db.execute(select(principals).order_by(principals.c.name)).all()
            members = db.execute(select(memberships).order_by(memberships.c.group)).all()
        of_tenant: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in members:
            of_tenant[row.tenant].append((row.member, row.group))
        edges = {tenant: gather(pairs) for tenant, pairs in of_tenant.items()}
        infos = []
        for row in rows:
            groups = containing(edges.get(row.tenant, {}), row.subject)
            who = Principal(row.tenant, row.subject, groups, in_directory=True)
            infos.append(PrincipalInfo(row.name, who, row.active))
        return infos

    def resolve(self, name_or_literal: str) -> Principal:
        """Return the principal of an imported name with all its groups as of now, or of a literal `tenant/user:x,group:y`.

        A literal comes back as it is written; `effective` adds the groups that contain its groups.

        Raises:
            ConfigError: no such name, or a malformed literal.
            AccessDenied: the name is deactivated.
        """
        from indexes.directory_tables import principals

        if "/" in name_or_literal:
            return Principal.parse(name_or_literal)
        with self._read() as db:
            row = db.execute(principals.select().where(principals.c.name == name_or_literal)).one_or_none()
        if row is None:
            raise ConfigError(
                f"unknown principal {name_or_literal!r}: import it with `loremill principals import FILE`, "
                "or write a literal such as tenant/user:alice,group:finance"
            )
        principal = Principal(row.tenant, row.subject, in_directory=True)
        if not row.active:
            raise AccessDenied(principal, f"the principal {name_or_literal!r} is deactivated")
        return self.effective(principal)

    def _find(self, bound_to: str) -> Principal | None:
        """Return whom a key bound to this name or literal speaks for, None if that is nobody or may do nothing."""
        try:
            principal = self.resolve(bound_to)
            self.effective(principal)
        except (ConfigError, AccessDenied):
            return None
        return principal

    def find_subject(self, tenant: str, subject: str) -> Principal | None:
        """Return the imported principal of a subject with all its groups as of now; None if there is none that may ask."""
        try:
            return self.effective(Principal(tenant, subject, in_directory=True))
        except AccessDenied:
            return None

    def create_key(self, principal: str, *, label: str = "", role: Role | str = Role.READER) -> tuple[str, str]:
        """Make a key for a name or literal and return (key_id, secret). The secret is shown now and never again.

        Raises:
            ConfigError: unknown principal or role.
        """
        from indexes.directory_tables import api_keys

        if role not in set(Role):
            raise ConfigError(f"unknown role {str(role)!r}: use {' or '.join(Role)}")
        who = self.resolve(principal)
        key_id = secrets.token_hex(6)
        secret = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        row = {
            "key_id": key_id,
            "secret_sha256": _hash(secret),
            "principal": principal,
            "tenant": who.tenant,
            "subject": who.subject,
            "role": Role(role).value,
            "label": label,
            "created": _now(),
        }
        with self._write() as db:
            db.execute(api_keys.insert(), [row])
        self._tell(who.tenant, "key", change="create", key_id=key_id, of=who.subject, role=row["role"])
        return key_id, secret

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key for good; return False if there is none of that id that still holds."""
        from indexes.directory_tables import api_keys

        change = (
            api_keys.update().where(api_keys.c.key_id == key_id, api_keys.c.revoked.is_(None)).values(revoked=_now())
        )
        with self._write() as db:
            row = db.execute(change.returning(api_keys.c.tenant, api_keys.c.subject)).one_or_none()
        if row is not None:
            self._tell(row.tenant, "key", change="revoke", key_id=key_id, of=row.subject)
        return row is not None

    def list_keys(self) -> list[KeyInfo]:
        """Return every key ever made, oldest first; ties by key_id."""
        from indexes.directory_tables import api_keys

        with self._read() as db:
            rows = db.execute(api_keys.select().order_by(api_keys.c.created, api_keys.c.key_id)).all()
        return [KeyInfo(r.key_id, r.principal, Role(r.role), r.label, r.created, r.revoked) for r in rows]

    def authenticate(self, secret: str) -> Identity | None:
        """Return who the secret speaks for now, or None: unknown, revoked, or its principal is no longer the same."""
        from indexes.directory_tables import api_keys

        prefix, _, rest = secret.partition("_")
        key_id = rest.partition("_")[0]
        with self._read() as db:
            row = db.execute(api_keys.select().where(api_keys.c.key_id == key_id)).one_or_none()
        # An unknown key id takes the same comparison, so that time tells nothing about which ids exist.
        expected = row.secret_sha256 if row is not None else _hash("")
        if not hmac.compare_digest(_hash(secret), expected) or row is None or prefix != _PREFIX:
            return None
        if row.revoked is not None:
            return None
        principal = self._find(row.principal)
        if principal is None or (principal.tenant, principal.subject) != (row.tenant, row.subject):
            return None
        return Identity(principal, Role(row.role), row.key_id)
