"""The vocabulary: one meaning for each of the field's words, as frozen values without behaviour of their own.

Everything above this floor speaks in these types. None of them does I/O.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from indexes.errors import ConfigError

Metadata = Mapping[str, Any]

EVERYONE = "everyone"
_NAME = re.compile(r"[\w][\w.@+-]{0,127}", re.UNICODE)


def digest(*parts: str | bytes) -> str:
    """Return the sha256 of the parts as 64 hex digits; parts are length-prefixed, so their borders count."""
    return digest_all(parts)


def digest_all(*streams: Iterable[str | bytes]) -> str:
    """As `digest`, over parts that come in streams, one after the other."""
    sha = hashlib.sha256()
    for part in chain(*streams):
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()


def check_name(value: str, what: str) -> str:
    """Return `value` if it can name a tenant or a collection (letters, digits, `_ . @ + -`), else raise ConfigError."""
    if not _NAME.fullmatch(value):
        raise ConfigError(f"{what} {value!r} is not a valid name: use 1-128 letters, digits and . _ @ + -")
    return value


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: one subject of one tenant, with the groups it is a member of.

    Args:
        tenant: name of the tenant; no query ever crosses it.
        subject: `user:NAME`, `agent:NAME` or `service:NAME`.
        groups: `group:NAME` each; order and repetition do not matter.
        in_directory: `Directory.resolve` made it from an imported name, so the directory alone says which groups it has.
            Says where it comes from, not who it is: two principals that differ in nothing else are equal.
    Raises:
        ConfigError: a part is not of that form.
    """

    tenant: str
    subject: str
    groups: tuple[str, ...] = ()
    in_directory: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.tenant, "tenant")
        kind, _, name = self.subject.partition(":")
        if kind not in {"user", "agent", "service"} or not name.strip():
            raise ConfigError(f"subject {self.subject!r} must look like user:alice")
        if isinstance(self.groups, str):
            raise ConfigError("groups must be a sequence of strings such as ('group:finance',), not one string")
        for group in self.groups:
            if not group.startswith("group:") or len(group) == len("group:"):
                raise ConfigError(f"group {group!r} must look like group:finance")
        object.__setattr__(self, "groups", tuple(sorted(set(self.groups))))

    @classmethod
    def parse(cls, literal: str) -> Principal:
        """Read `tenant/user:x,group:y,group:z`."""
        tenant, slash, members = literal.partition("/")
        subject, *groups = [part.strip() for part in members.split(",")]
        if not slash or not subject:
            raise ConfigError(f"principal {literal!r} must look like tenant/user:alice,group:finance")
        return cls(tenant, subject, tuple(groups))

    @property
    def names(self) -> frozenset[str]:
        """Every name by which an ACL may mean this principal."""
        return frozenset({EVERYONE, self.subject, *self.groups})


@dataclass(frozen=True, slots=True)
class Acl:
    """What one document allows. Deny beats allow; an empty `allow` means nobody.

    Args:
        allow: subjects, groups, or `everyone` (in the tenant).
        deny: subjects, groups, or `everyone`.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field_name in ("allow", "deny"):
            names = getattr(self, field_name)
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise ConfigError(f"ACL {field_name} must be a list of names such as [group:finance], got {names!r}")
            for name in names:
                if name != EVERYONE and not re.fullmatch(r"(user|agent|service|group):\S.*", name):
                    raise ConfigError(
                        f"ACL {field_name} has {name!r}: write everyone, user:NAME, group:NAME, agent:NAME or service:NAME"
                    )
            object.__setattr__(self, field_name, tuple(sorted(set(names))))


NOBODY = Acl()


@dataclass(frozen=True, slots=True)
class Document:
    """One source item at one version.

    `document_id` is stable across versions, `content_hash` names the version; `text` is what chunks and citations point into.
    """

    document_id: str
    uri: str
    title: str
    text: str
    format: str
    metadata: Metadata = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """sha256 over title and text: equal texts are the same version wherever they lie."""
        return digest(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document's text: `document.text[start:end] == text`.

    `headings` is the path of headings the span stands under, outermost first; `ordinal` counts from 0 in reading order.
    """

    document_id: str
    ordinal: int
    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()

    @property
    def chunk_id(self) -> str:
        """32 hex digits derived from document id, place and text, hence the same in every run."""
        return digest(self.document_id, str(self.start), self.text)[:32]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that the principal may read, found by a search. `rank` counts from 1; a higher `score` is better.

    `headings` is the chunk's, as in `Chunk`; the JSON of a hit leaves it out.
    """

    rank: int
    score: float
    document_id: str
    chunk_id: str
    uri: str
    title: str
    text: str
    start: int
    end: int
    metadata: Metadata
    headings: tuple[str, ...] = ()
