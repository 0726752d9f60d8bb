"""What an import states: principals and memberships of some tenants, the same whether it was read from YAML or SCIM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from indexes.errors import ConfigError
from indexes.vocabulary import Principal

_MEMBER = re.compile(r"(user|agent|service|group):\S.*")  # the names that an ACL can have
_GROUP = re.compile(r"group:\S.*")


class Member(NamedTuple):
    """`member`, a subject or a group, is directly in `group`."""

    tenant: str
    member: str
    group: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One name: whom it means, and whether that may do anything. The principal's groups stand among the memberships."""

    principal: Principal
    active: bool = True


@dataclass(frozen=True, slots=True)
class Roster:
    """The whole of what `tenants` shall have: what is not here, they no longer have."""

    tenants: frozenset[str]
    principals: Mapping[str, Entry]
    memberships: frozenset[Member]


def check_principal_name(name: object) -> str:
    """Return `name` if `--as` and keys can use it, else raise ConfigError."""
    if not isinstance(name, str) or not name.strip() or "/" in name:
        raise ConfigError("a principal's name must be a word without '/'")
    return name


def check_member(name: object) -> str:
    """Return `name` if it can be in a group, else raise ConfigError."""
    if not isinstance(name, str) or not _MEMBER.fullmatch(name):
        raise ConfigError(f"member {name!r}: write user:NAME or group:NAME (or agent:NAME, service:NAME)")
    return name


def group_name(name: object) -> str:
    """Return `name` with the prefix `group:` if it has none, else raise ConfigError if no ACL could mean it."""
    full = name if isinstance(name, str) and name.startswith("group:") else f"group:{name}"
    if not isinstance(name, str) or not _GROUP.fullmatch(full):
        raise ConfigError(f"group {name!r} must look like group:finance")
    return full
