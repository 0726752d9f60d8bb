"""The brute-force world: every document as it stands, everyone who asks, and who may read what, by the plainest rules there are.

It shares no code with what it judges: not `indexes/access.py`, not the directory, not the reader of acl.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from eval.audit.canaries import sung
from eval.audit.lore import Memory, may_recall
from eval.oracle import Rights
from indexes.vocabulary import Principal

Key = tuple[str, str, str]
"""Tenant, collection, document id."""


@dataclass(frozen=True)
class Document:
    """One document as it stands now. Every part of it that could come out somewhere carries canaries of its own.

    `own` are the rights that it was pushed with, None where it comes from a folder; `rights` are what holds in the end.
    """

    tenant: str
    collection: str
    document_id: str
    title: str
    paragraphs: tuple[str, ...]
    metadata: Mapping[str, str]
    rights: Rights
    own: Rights | None = None

    @property
    def pushed(self) -> bool:
        """Whether a program put it, instead of its lying in a folder."""
        return self.own is not None

    @property
    def key(self) -> Key:
        return self.tenant, self.collection, self.document_id

    @cached_property
    def canaries(self) -> frozenset[str]:
        """All that betrays it: words of its text, title, metadata, id and collection."""
        return self.text_canaries | sung((self.collection, self.document_id))

    @cached_property
    def text_canaries(self) -> frozenset[str]:
        """Those that stand in what it says, not in what it is called."""
        return sung((self.title, self.paragraphs, sorted(self.metadata.values())))

    @cached_property
    def words(self) -> frozenset[str]:
        """What lexical search finds it by."""
        return frozenset(
            "".join(c if c.isalnum() else " " for c in f"{self.title} {self.paragraphs}".casefold()).split()
        )


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: `name` in the directory, subject in a tenant."""

    name: str
    tenant: str
    subject: str


@dataclass
class World:
    """What there is. `members` holds (tenant, member, group), where a member is a subject or another group; `writers` (tenant, subject)
    of those to whom writing in the tenant's scope of memory was granted.

    `origin` is the document of each canary, `texts` are the canaries that ever stood in a text, title or metadata.
    """

    people: list[Person] = field(default_factory=list)
    members: set[tuple[str, str, str]] = field(default_factory=set)
    documents: dict[Key, Document] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    gone: list[Document] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    memories: dict[str, Memory] = field(default_factory=dict)
    forgotten: list[Memory] = field(default_factory=list)
    writers: set[tuple[str, str]] = field(default_factory=set)

    @property
    def tenants(self) -> list[str]:
        return sorted({person.tenant for person in self.people})

    def principal(self, person: Person) -> Principal:
        """Return the person with every group that holds the subject now, directly or through other groups."""
        names = {person.subject}
        while (
            more := {group for tenant, member, group in self.members if tenant == person.tenant and member in names}
            - names
        ):
            names |= more
        return Principal(person.tenant, person.subject, tuple(names - {person.subject}))

    def direct_groups(self, person: Person) -> tuple[str, ...]:
        """Return the groups that the person is in, but not those that contain these."""
        mine = (person.tenant, person.subject)
        return tuple(group for tenant, member, group in sorted(self.members) if (tenant, member) == mine)

    def of(self, tenant: str, collection: str | None = None) -> list[Document]:
        """Return the documents of a tenant, or of one of its collections."""
        return [one for one in self.documents.values() if one.tenant == tenant and collection in (None, one.collection)]

    def readable(self, person: Person, collection: str | None = None) -> list[Document]:
        """Return what the person may read at this moment."""
        principal = self.principal(person)
        return [one for one in self.of(person.tenant, collection) if one.rights.admit(principal)]

    def forbidden(self, person: Person) -> list[Document]:
        """Return what the person may not read, other tenants' documents among it."""
        readable = {one.key for one in self.readable(person)}
        return [one for key, one in self.documents.items() if key not in readable]

    def put(self, document: Document) -> None:
        """The document is there from now on, in the place of any other of its id."""
        self.documents[document.key] = document
        self.texts |= document.text_canaries
        self.origin |= dict.fromkeys(document.canaries, document.document_id)

    def remove(self, document: Document) -> None:
        """The document is gone from now on; nobody may read what it said."""
        self.gone.append(self.documents.pop(document.key))

    def betrayed(self, out: object, person: Person, *, said: object = "") -> frozenset[str]:
        """Return the ids of documents that `out` betrays to the person: a canary in it that no readable document has.

        Args:
            said: what the person put in, whose words betray nothing when they come back.
        """
        foreign = sung(out) - sung(said) - self.allowed(person)
        return frozenset(self.origin.get(canary, f"unknown canary {canary}") for canary in foreign)

    def allowed(self, person: Person) -> frozenset[str]:
        """Return all canaries that the person may see."""
        documents = _union(one.canaries for one in self.readable(person))
        return documents | _union(one.canaries for one in self.recalled(person))

    # -- memory ------------------------------------------------------------------------------------------------------

    def recalled(self, person: Person) -> list[Memory]:
        """Return what the person may recall at this moment, in any session."""
        return [one for one in self.memories.values() if may_recall(one, person, self)]

    def keep(self, memory: Memory) -> None:
        """It is remembered from now on."""
        self.memories[memory.item_id] = memory
        self.texts |= sung((memory.text, memory.mark))
        self.origin |= dict.fromkeys(memory.canaries, f"memory {memory.item_id}")

    def amend(self, item_id: str, text: str) -> None:
        """It says something else from now on."""
        one = self.memories[item_id]
        self.keep(replace(one, text=text, past=(*one.past, one.text)))

    def forget(self, item_id: str) -> None:
        """It and the copies that were shared of it are gone from now on."""
        for name in [one.item_id for one in self.memories.values() if one.source == item_id]:
            self.forget(name)
        self.forgotten.append(self.memories.pop(item_id))


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)
