"""The mill and the world side by side: whatever is done to the one is done to the other, so that they must agree afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from eval.audit.material import Material, Names
from eval.audit.shelf import RuleAbove, Shelf
from eval.audit.world import Document, Person, World
from indexes.vocabulary import Acl, Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill


class Stage:
    """What can be done to both. `held` are principals as the mill gave them out when their people came."""

    def __init__(self, mill: Loremill, world: World, material: Material, folder: Path) -> None:
        """Args: folder: an empty one, for the documents to be ingested."""
        self.mill = mill
        self._other = _another(mill)
        self._hands = cycle([mill, self._other])
        self.world = world
        self.material = material
        self.folder = folder
        self.shelves: list[Shelf] = []
        self.held: dict[str, Principal] = {}

    @property
    def hand(self) -> Loremill:
        """The mill that does the next thing: the one that is asked, and by turns another on its home, as of another process."""
        return next(self._hands)

    def before_confirm(self, do: Callable[[], None] | None) -> None:
        """Let something happen between a recall's search and its confirmation, in both mills."""
        for mill in (self.mill, self._other):
            mill.memory.before_confirm = do

    def derived(self) -> None:
        """Wait until both mills have derived what facts there are."""
        for mill in (self.mill, self._other):
            mill.memory.settle(60)

    def close(self) -> None:
        """Close the other mill."""
        self._other.close()

    def collections(self, tenant: str) -> list[str]:
        """Return the names of a tenant's collections."""
        return [shelf.collection for shelf in self.shelves if shelf.tenant == tenant]

    def take_away(self, document: Document, person: Person, rng: Random) -> None:
        """Take rights to the document away, from all or one, or the person out of its groups: the very next look must heed it."""
        kind = rng.choice(["from all", "from one", "memberships"])
        if kind == "memberships":
            for group in self.world.direct_groups(person):
                self.change_member(person.tenant, person.subject, group)
        elif document.key in self.world.documents:
            allow, deny = ((), ()) if kind == "from all" else (None, (person.subject,))
            self.set_rule(self.shelf_of(document), document.document_id, allow, deny, is_pattern=False)

    def give(self, document: Document) -> None:
        """Let everybody of its tenant read the document."""
        if document.key in self.world.documents:
            self.set_rule(self.shelf_of(document), document.document_id, ("everyone",), (), is_pattern=False)

    def shelf_of(self, document: Document) -> Shelf:
        """Return where the document stands."""
        return next(
            one for one in self.shelves if (one.tenant, one.collection) == (document.tenant, document.collection)
        )

    def file(self, shelf: Shelf, document: Document) -> None:
        """Write the document into its folder, to be ingested."""
        self.world.put(document)
        shelf.write(document)

    def ingest(self, shelf: Shelf) -> None:
        """Bring the collection in line with its folder, and the world's rights with its rules."""
        shelf.write_rules()
        self.hand.ingest(shelf.root, collection=shelf.collection, tenant=shelf.tenant)
        self.settle(shelf)

    def set_rule(self, shelf: Shelf, about: str, allow: Names | None, deny: Names, *, is_pattern: bool) -> None:
        """Set a rule above the sources', for a pattern or one document's id."""
        change = self.hand.set_acl(
            collection=shelf.collection,
            tenant=shelf.tenant,
            allow=allow,
            deny=deny,
            **{"path" if is_pattern else "document_id": about},
        )
        shelf.set_above(RuleAbove(change.rule.rule_id, about, is_pattern, allow, deny))
        self.settle(shelf)

    def settle(self, shelf: Shelf) -> None:
        """Work out anew who may read what stands on the shelf."""
        for document in self.world.of(shelf.tenant, shelf.collection):
            self.world.put(replace(document, rights=shelf.rights(document)))

    def put(self, document: Document) -> None:
        """Put the document as programs do, with the rights that are its own."""
        writer = next(one for one in self.world.people if one.tenant == document.tenant)
        assert document.own is not None
        self.hand.put_document(
            collection=document.collection,
            principal=self.mill.directory.resolve(writer.name),
            document_id=document.document_id,
            text="\n\n".join(document.paragraphs),
            title=document.title,
            metadata=document.metadata,
            acl=Acl(tuple(document.own.allow), tuple(document.own.deny)),
        )
        self.world.put(document)
        self.settle(self.shelf_of(document))

    def change_member(self, tenant: str, member: str, group: str) -> None:
        """Put the member into the group or, where it is in it, take it out."""
        edge = (tenant, member, group)
        directory = self.hand.directory
        change = directory.remove_member if edge in self.world.members else directory.add_member
        assert change(group, member, tenant)
        self.world.members ^= {edge}

    def import_people(self) -> None:
        """Import everyone and every group anew, a file for each tenant, which changes nothing but is another way there."""
        for tenant in self.world.tenants:
            people = {
                one.name: {"tenant": tenant, "subject": one.subject}
                for one in self.world.people
                if one.tenant == tenant
            }
            groups: dict[str, list[str]] = {group: [] for group in self.material.groups}
            for of, member, group in sorted(self.world.members):
                if of == tenant:
                    groups[group].append(member)
            sections = {name: {"tenant": tenant, "members": members} for name, members in groups.items()}
            path = self.folder / f"{tenant}.yaml"
            path.write_text(json.dumps({"principals": people, "groups": sections}), encoding="utf-8")
            self.hand.directory.import_principals(path)


def _another(mill: Loremill) -> Loremill:
    """Open the mill's home once more, with the embedder that is loaded already."""
    other = type(mill)(mill.settings)
    other.embedder = mill.embedder
    return other
