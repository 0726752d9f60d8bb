"""Random histories: documents come, change, move and go, rights are given and taken, people join and leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from eval.audit.canaries import mint
from eval.audit.material import Names
from eval.audit.shelf import FOLDERS, PATTERNS, Shelf
from eval.audit.stage import Stage
from eval.audit.world import Document, Person
from eval.oracle import Rights

TENANTS = ("halden", "rival", "third")
TOPICS = ("red", "green", "blue")
COMPANY = "company"
_FEWEST, _MOST = 4, 12
"""Documents in a collection: few, so that thousands of trials are done in minutes."""


class History(Stage):
    """What happens on a stage. Two tenants to begin with, each with two collections; later a third."""

    def begin(self, rng: Random) -> None:
        """Make the first two tenants."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for tenant in TENANTS[:2]:
            self._found(tenant, rng)

    def step(self, rng: Random) -> str:
        """Do one operation and return its name."""
        name = rng.choices(list(OPERATIONS), [weight for _, weight in OPERATIONS.values()])[0]
        OPERATIONS[name][0](self, rng)
        return name

    # -- operations --------------------------------------------------------------------------------------------------

    def add(self, rng: Random) -> None:
        """A new file."""
        shelf = rng.choice(self.shelves)
        if self._has_room(shelf):
            self.file(shelf, self._written(shelf, rng))
            self.ingest(shelf)

    def edit(self, rng: Random) -> None:
        """Another text at the same place: what the old one said may come out no more."""
        for document in self._some(rng, pushed=False):
            shelf = self.shelf_of(document)
            self.world.remove(document)
            self.file(shelf, self._text(document, rng))
            self.ingest(shelf)

    def rename(self, rng: Random) -> None:
        """The same text at another place, where other rules hold."""
        for document in self._some(rng, pushed=False):
            shelf = self.shelf_of(document)
            shelf.remove(document)
            self.world.remove(document)
            self.file(shelf, replace(document, document_id=_path(rng)))
            self.ingest(shelf)

    def copy(self, rng: Random) -> None:
        """The same text at two places: to read one of them is to know what both say."""
        for document in self._some(rng, pushed=False):
            shelf = self.shelf_of(document)
            if self._has_room(shelf):
                self.file(shelf, replace(document, document_id=_path(rng)))
                self.ingest(shelf)

    def delete(self, rng: Random) -> None:
        """A file goes."""
        for document in self._some(rng, pushed=False):
            if len(self.world.of(document.tenant, document.collection)) > _FEWEST:
                self.shelf_of(document).remove(document)
                self.world.remove(document)
                self.ingest(self.shelf_of(document))

    def restore(self, rng: Random) -> None:
        """What was deleted or replaced comes back as it was."""
        gone = [one for one in self.world.gone if one.key not in self.world.documents and not one.pushed]
        gone = [one for one in gone if self._has_room(self.shelf_of(one))]
        if gone:
            document = rng.choice(gone)
            self.file(self.shelf_of(document), document)
            self.ingest(self.shelf_of(document))

    def change_rules(self, rng: Random) -> None:
        """Another acl.yaml: a rule for a folder or a file comes, or goes."""
        shelf = rng.choice(self.shelves)
        if len(shelf.rules) > len(FOLDERS) + 4:
            del shelf.rules[rng.randrange(len(shelf.rules))]
        else:
            shelf.rules.append((self._about(shelf, rng), *self._allowed_or_denied(rng)))
        self.ingest(shelf)

    def set_above(self, rng: Random) -> None:
        """A rule above the sources', for a pattern or one document."""
        shelf = rng.choice(self.shelves)
        is_pattern = rng.random() < 0.5
        here = self.world.of(shelf.tenant, shelf.collection)
        about = rng.choice(PATTERNS) if is_pattern else rng.choice(here).document_id
        self.set_rule(shelf, about, *self._allowed_or_denied(rng), is_pattern=is_pattern)

    def unset_above(self, rng: Random) -> None:
        """Such a rule goes: what the sources say holds again."""
        shelf = rng.choice(self.shelves)
        if shelf.above:
            rule = shelf.above.pop(rng.randrange(len(shelf.above)))
            self.hand.unset_acl(rule.rule_id, collection=shelf.collection, tenant=shelf.tenant)
            self.settle(shelf)

    def push(self, rng: Random) -> None:
        """A document is put by a program, under rights of its own."""
        shelf = rng.choice(self.shelves)
        if self._has_room(shelf):
            self.put(self._owned(replace(self._written(shelf, rng), document_id=f"push-{mint(rng)}"), rng))

    def push_again(self, rng: Random) -> None:
        """A pushed document gets another text, other rights, or both."""
        for document in self._some(rng, pushed=True):
            changed = self._text(document, rng) if rng.random() < 0.5 else document
            self.world.remove(document)
            self.put(self._owned(changed, rng))

    def delete_pushed(self, rng: Random) -> None:
        """A pushed document is deleted by somebody who may read it."""
        for document in self._some(rng, pushed=True):
            readers = [one for one in self.world.people if document in self.world.readable(one)]
            for person in readers[:1]:
                principal = self.mill.directory.resolve(person.name)
                assert self.hand.delete_document(
                    document.document_id, collection=document.collection, principal=principal
                )
                self.world.remove(document)

    def change_members(self, rng: Random) -> None:
        """Somebody joins or leaves a group, or a group is put into another or taken out."""
        tenant = rng.choice(self.world.tenants)
        group = rng.choice(self.material.groups)
        member = rng.choice([name for name in (*self.material.subjects, *self.material.groups) if name != group])
        self.change_member(tenant, member, group)
        if rng.random() < 0.2:
            self.import_people()

    def found(self, rng: Random) -> None:
        """A new tenant, with people of the same names and collections of the same name."""
        for tenant in sorted(set(TENANTS) - set(self.world.tenants))[:1]:
            self._found(tenant, rng)

    # -- what they choose from -------------------------------------------------------------------------------------------

    def _found(self, tenant: str, rng: Random) -> None:
        for subject in self.material.subjects:
            name = f"{tenant}-{subject.replace(':', '-')}"
            self.world.people.append(Person(name, tenant, subject))
            for group in self.material.groups:
                if rng.random() < 0.3:
                    self.world.members.add((tenant, subject, group))
        self.import_people()
        for person in self.world.people:
            self.held.setdefault(person.name, self.mill.directory.resolve(person.name))
        for collection, default in ((COMPANY, (("everyone",), ())), (f"board-{mint(rng)}", (("user:ann",), ()))):
            root = self.folder / tenant / collection
            shelf = Shelf(tenant, collection, root, default, [
                (f"{name}/**", *rng.choice(self.material.rights)) for name in FOLDERS[1:] if collection == COMPANY
            ])  # fmt: skip
            self.shelves.append(shelf)
            for _ in range(2 * _FEWEST if collection == COMPANY else _FEWEST // 2):
                self.file(shelf, self._written(shelf, rng))
            self.ingest(shelf)

    def _written(self, shelf: Shelf, rng: Random) -> Document:
        """Return a new document of the shelf, not yet in the world."""
        blank = Document(shelf.tenant, shelf.collection, _path(rng), "", (), {}, Rights(shelf.tenant, frozenset()))
        return self._text(blank, rng)

    def _text(self, document: Document, rng: Random) -> Document:
        """Return the document with another title, text and metadata. Each paragraph's sentences carry its canary."""
        canaries = [mint(rng) for _ in range(rng.randint(2, 4))]
        paragraphs = tuple(
            " ".join(self.material.sentence(rng, canary) for _ in range(rng.randint(1, 2))) for canary in canaries
        )
        metadata = {"topic": rng.choice(TOPICS), "mark": mint(rng)}
        return replace(document, title=f"Memo {mint(rng)}", paragraphs=paragraphs, metadata=metadata)

    def _has_room(self, shelf: Shelf) -> bool:
        return len(self.world.of(shelf.tenant, shelf.collection)) < _MOST

    def _some(self, rng: Random, *, pushed: bool) -> Iterable[Document]:
        """Return one document of the kind, or none where there are none."""
        found = [one for one in self.world.documents.values() if one.pushed is pushed]
        return [rng.choice(found)] if found else []

    def _about(self, shelf: Shelf, rng: Random) -> str:
        """Return a pattern for a rule of acl.yaml: of a folder, of a kind of file, or of one file."""
        files = [one.document_id for one in self.world.of(shelf.tenant, shelf.collection) if not one.pushed]
        return rng.choice([*PATTERNS, *files])

    def _allowed_or_denied(self, rng: Random) -> tuple[Names | None, Names]:
        """Return what a rule says: whom it allows and denies, or only whom it denies."""
        allow, deny = rng.choice(self.material.rights)
        return (None, deny) if deny and rng.random() < 0.5 else (allow, deny)

    def _owned(self, document: Document, rng: Random) -> Document:
        allow, deny = rng.choice(self.material.rights)
        return replace(document, own=Rights(document.tenant, frozenset(allow), frozenset(deny)))


def _path(rng: Random) -> str:
    return f"{rng.choice(FOLDERS)}/{mint(rng)}.md"


OPERATIONS: dict[str, tuple[Callable[[History, Random], None], float]] = {
    "add": (History.add, 2),
    "edit": (History.edit, 3),
    "rename": (History.rename, 3),
    "copy": (History.copy, 1),
    "delete": (History.delete, 2),
    "restore": (History.restore, 2),
    "change rules": (History.change_rules, 3),
    "set a rule above": (History.set_above, 3),
    "unset a rule above": (History.unset_above, 4),
    "push": (History.push, 3),
    "push again": (History.push_again, 3),
    "delete pushed": (History.delete_pushed, 3),
    "change members": (History.change_members, 5),
    "found a tenant": (History.found, 0.5),
}
"""Each kind of operation with its weight."""
