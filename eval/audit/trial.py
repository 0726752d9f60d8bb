"""One trial: one person, one door, and what must hold of everything that comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from eval.audit.canaries import mint, sung
from eval.audit.stage import Stage
from eval.audit.world import Document, Person, World
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill


class ToolFailed(Exception):
    """A way in that knows no error of ours answered with an error."""


@dataclass
class Trial:
    """What a door works with, and what it reports to: `hear` for what came out, `expect` for what should have."""

    history: Stage
    person: Person
    collection: str
    rng: Random
    betrayed: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    told: int = 0
    besides: object = ""
    """What may come out at this door besides: texts that an item had before, in its history."""

    def __post_init__(self) -> None:
        self._known_by = self.rng.choice(["name", "name", "object", "literal"])

    @property
    def mill(self) -> Loremill:
        return self.history.mill

    @property
    def world(self) -> World:
        return self.history.world

    @property
    def principal(self) -> Principal:
        """The person as the mill is told of them: by name, or as a literal that states the groups they are in directly."""
        if self._known_by == "literal":
            return Principal(self.person.tenant, self.person.subject, self.world.direct_groups(self.person))
        return self.named

    def state_no_groups(self) -> None:
        """Be known by name: who states their groups keeps them, as with the claims of a token."""
        if self._known_by == "literal":
            self._known_by = "name"

    @property
    def named(self) -> Principal:
        """The person by name, looked up now or held since they came: what is taken away meanwhile counts, whatever the object says.

        For requests in which memberships change: a literal goes on stating its groups, as the claims of a token do.
        """
        if self._known_by == "object":
            return self.history.held[self.person.name]
        return self.mill.directory.resolve(self.person.name)

    @property
    def readable(self) -> list[Document]:
        """What the person may read in the trial's collection."""
        return self.world.readable(self.person, self.collection)

    def hear(self, out: object, *, said: object = "", person: Person | None = None) -> None:
        """Judge what came out, by the rights of this moment.

        Args:
            said: what was put in.
            person: to whom it came out; default who asks.
        """
        listener = person or self.person
        self.betrayed |= self.world.betrayed(out, listener, said=(said, self.besides))
        self.told += len(sung(out) & self.world.allowed(listener))

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Hold that what was found is what the world says."""
        if found != wanted:
            self.wrong.append(f"{what}: found {found}, wanted {wanted}"[:400])

    def any_document(self) -> Document:
        """Return a document of any rights, any tenant, also one that is gone; of the trial's collection as a rule."""
        here = self.world.of(self.person.tenant, self.collection)
        if here and self.rng.random() < 0.7:
            return self.rng.choice(here)
        return self.rng.choice([*self.world.documents.values(), *self.world.gone[-50:]])

    def never(self) -> str:
        """Return a name that nothing ever had."""
        return mint(self.rng)


Door = Callable[[Trial], None]
"""Asks something as the trial's person and lets the trial hear all that comes out."""
