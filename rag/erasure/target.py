"""What is to be erased, in names, and what every eraser does with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.fingerprints import Finder


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """A document by its names; it may be stored, quarantined, waiting in the inbox, or only left in old builds."""

    collection: str
    document_id: str
    uri: str


@dataclass(frozen=True, slots=True)
class Target:
    """Documents of a tenant, or a subject with what is its own; names only, so that it can be written down.

    Args:
        asked: the document as it was asked for, empty where a subject was.
        documents: those asked for, or whose metadata name the subject, with their attachments.
    """

    tenant: str
    subject: str = ""
    asked: str = ""
    documents: tuple[NamedDocument, ...] = ()

    @property
    def about(self) -> str:
        return f"subject {self.subject}" if self.subject else f"document {self.asked}"

    def ids(self, collection: str) -> list[str]:
        """Ids of the documents of one collection."""
        return sorted({each.document_id for each in self.documents if each.collection == collection})

    def is_subjects(self, named: object) -> bool:
        """Return whether a principal's name, `user:x` or a literal `tenant/user:x,group:y`, is the subject's."""
        if not self.subject or not isinstance(named, str):
            return False
        tenant, _, rest = named.rpartition("/")
        return rest.split(",")[0].strip() in (self.subject, self.subject.partition(":")[2]) and tenant in (
            "",
            self.tenant,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Target:
        documents = tuple(NamedDocument(**each) for each in data["documents"])
        return cls(data["tenant"], data["subject"], data["asked"], documents)


@dataclass(frozen=True, slots=True)
class Found:
    """What an eraser would erase.

    Args:
        counts: how many of each kind.
        strings: texts, and vectors' first bytes. Whatever repeats 32 bytes of such a text elsewhere is erased too.
        said: texts that others may say as well: they go where they are, and nowhere else.
        chunk_ids: of chunks that go.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    strings: tuple[str | bytes, ...] = ()
    said: tuple[str, ...] = ()
    chunk_ids: tuple[str, ...] = ()


class Eraser:
    """One kind of storage of one tenant. `find`, `repeated`, then `erase`; only the last changes anything."""

    def find(self, target: Target) -> Found:
        """Tell what is there."""
        raise NotImplementedError

    def kept(self, target: Target) -> Iterator[str]:
        """Yield the texts that stay, whatever they have in common with those that go."""
        yield from ()

    def others(self, target: Target) -> Iterator[str]:
        """Yield what others said that stays, unless it repeats a text that goes."""
        yield from ()

    def repeated(self, target: Target, finder: Finder) -> Mapping[str, int]:
        """Return how many of a kind will go, where that is more than `find` tells, because they repeat what goes."""
        return {}

    def erase(self, target: Target, finder: Finder) -> None:
        """Erase all that `find` and `repeated` speak of. It may be done again."""
        raise NotImplementedError


def strings_in(value: object) -> Iterator[str]:
    """Yield every text in a JSON value; keys are names, not text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings_in(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from strings_in(each)


def check_subject(tenant: str, subject: str) -> str:
    """Return the subject; ConfigError unless it is `user:x`, `agent:x` or `service:x`."""
    return Principal(tenant, subject).subject
