"""The directory: which names are principals, and which API keys speak for them. One SQLite file, `HOME/directory.db`.

A key is bound to a name or to a literal. A name is resolved at each request, so a group taken away by an import is gone
for the next request of every key, and a key whose principal was removed, renamed or moved opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigError, ConfigFileError, IndexBackendError
from indexes.principals import read_principals
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row, Table

_PREFIX = "lm"
LOCK_TIMEOUT_S = 30.0


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
class Identity:
    """Who a request speaks for, as of this moment.

    `key_id` is the API key's, or `jwt:` and the token's `jti`. `actor` is the subject of the administrator who asks as
    `principal`; None where `principal` asks.
    """

    principal: Principal
    role: Role
    key_id: str
    actor: str | None = None


@cache
def _tables() -> tuple[Table, Table]:
    """Return the tables `principals` and `api_keys`; made late, for importing SQLAlchemy costs 0.2 s."""
    from sqlalchemy import JSON, Column, MetaData, String, Table

    metadata = MetaData()
    principals: Table = Table(
        "principals",
        metadata,
        Column("name", String, primary_key=True),
        Column("tenant", String, nullable=False, index=True),
        Column("subject", String, nullable=False),
        Column("groups", JSON, nullable=False),
    )
    keys: Table = Table(
        "api_keys",
        metadata,
        Column("key_id", String, primary_key=True),
        Column("secret_sha256", String(64), nullable=False),
        Column("principal", String, nullable=False),
        Column("tenant", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("role", String, nullable=False),
        Column("label", String, nullable=False),
        Column("created", String, nullable=False),
        Column("revoked", String),
    )
    return principals, keys


def _hash(secret: str) -> str:
    """Hash a secret for storage. With 256 random bits there is no dictionary to try, hence no need of a slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Directory:
    """Principals and API keys of one home. Safe among threads; processes see each other's changes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def open(cls, home: Path) -> Directory:
        """Return the directory of `home`; the file is opened, and made if missing, at first use."""
        return cls(home.expanduser() / "directory.db")

    def close(self) -> None:
        """Release the file. The directory may be used again afterwards."""
        engine: Engine | None = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.dispose()

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event

        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # the hashes are nobody else's business; SQLite gives its side files the same mode
        engine = create_engine(f"sqlite:///{self._path}", connect_args={"timeout": LOCK_TIMEOUT_S})

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        principals, _ = _tables()
        principals.metadata.create_all(engine)
        return engine

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except UnicodeEncodeError as error:
            raise ConfigError("a name or secret is not valid Unicode text") from error
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise IndexBackendError(f"the directory {self._path.name} in the home cannot be used: {cause}") from error

    def import_principals(self, path: str | Path) -> int:
        """Make the file's entries the principals of every tenant that it names, and return how many it has.

        Entries of those tenants that the file no longer names are removed, which silences their keys at once; other
        tenants are left alone. All or nothing: one transaction.

        Raises:
            ConfigFileError: the file is malformed, naming the line, or one of its names belongs to a tenant that it does
                not name (taking a name over would hand its keys to another tenant).
        """
        entries = read_principals(Path(path))
        tenants = sorted({principal.tenant for principal in entries.values()})
        table, _ = _tables()
        with self._transaction() as connection:
            connection.execute(table.delete().where(table.c.tenant.in_(tenants)))
            taken = {row.name: row.tenant for row in connection.execute(table.select())}
            for name in entries:
                if name in taken:
                    raise ConfigFileError(f"{path}: the name {name!r} is in use in another tenant; choose another name")
            rows = [
                {"name": name, "tenant": who.tenant, "subject": who.subject, "groups": list(who.groups)}
                for name, who in entries.items()
            ]
            connection.execute(table.insert(), rows)
        return len(entries)

    def list_principals(self) -> list[tuple[str, Principal]]:
        """Return every imported name with its principal, by name."""
        table, _ = _tables()
        with self._transaction() as connection:
            rows = connection.execute(table.select().order_by(table.c.name)).all()
        return [(row.name, _principal(row)) for row in rows]

    def resolve(self, name_or_literal: str) -> Principal:
        """Return the principal of an imported name, or of a literal `tenant/user:x,group:y`.

        Raises:
            ConfigError: no such name, or a malformed literal.
        """
        principal = self._find(name_or_literal)
        if principal is None:
            raise ConfigError(
                f"unknown principal {name_or_literal!r}: import it with `loremill principals import FILE`, "
                "or write a literal such as tenant/user:alice,group:finance"
            )
        return principal

    def _find(self, name_or_literal: str) -> Principal | None:
        if "/" in name_or_literal:
            return Principal.parse(name_or_literal)
        table, _ = _tables()
        with self._transaction() as connection:
            row = connection.execute(table.select().where(table.c.name == name_or_literal)).one_or_none()
        return None if row is None else _principal(row)

    def find_subject(self, tenant: str, subject: str) -> Principal | None:
        """Return the imported principal of a subject; None if there is none, or if two entries disagree on its groups."""
        table, _ = _tables()
        query = table.select().where(table.c.tenant == tenant, table.c.subject == subject)
        with self._transaction() as connection:
            found = {_principal(row) for row in connection.execute(query)}
        return found.pop() if len(found) == 1 else None

    def create_key(self, principal: str, *, label: str = "", role: Role | str = Role.READER) -> tuple[str, str]:
        """Make a key for a name or literal and return (key_id, secret). The secret is shown now and never again.

        Raises:
            ConfigError: unknown principal or role.
        """
        if role not in set(Role):
            raise ConfigError(f"unknown role {str(role)!r}: use {' or '.join(Role)}")
        who = self.resolve(principal)
        key_id = secrets.token_hex(6)
        secret = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        _, table = _tables()
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
        with self._transaction() as connection:
            connection.execute(table.insert(), [row])
        return key_id, secret

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key for good; return False if there is none of that id that still holds."""
        _, table = _tables()
        change = table.update().where(table.c.key_id == key_id, table.c.revoked.is_(None)).values(revoked=_now())
        with self._transaction() as connection:
            return bool(connection.execute(change).rowcount)

    def list_keys(self) -> list[KeyInfo]:
        """Return every key ever made, oldest first; ties by key_id."""
        _, table = _tables()
        with self._transaction() as connection:
            rows = connection.execute(table.select().order_by(table.c.created, table.c.key_id)).all()
        return [KeyInfo(r.key_id, r.principal, Role(r.role), r.label, r.created, r.revoked) for r in rows]

    def authenticate(self, secret: str) -> Identity | None:
        """Return who the secret speaks for now, or None: unknown, revoked, or its principal is no longer the same."""
        prefix, _, rest = secret.partition("_")
        key_id = rest.partition("_")[0]
        _, table = _tables()
        with self._transaction() as connection:
            row = connection.execute(table.select().where(table.c.key_id == key_id)).one_or_none()
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


def _principal(row: Row[Any]) -> Principal:
    return Principal(row.tenant, row.subject, tuple(row.groups))
