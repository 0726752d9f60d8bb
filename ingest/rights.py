"""Where a document's rights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from indexes.vocabulary import NOBODY, Acl
from ingest.acl_file import AclRules
from ingest.sources import SourceItem


class Ruling(NamedTuple):
    """A document's ACL and what decided it."""

    acl: Acl
    rule: str


@dataclass(frozen=True, slots=True)
class Rights:
    """A document's ACL: its own row's, else by `rules`, else `allow`, else nobody may read it."""

    rules: AclRules | None = None
    allow: tuple[str, ...] | None = None

    def of(self, item: SourceItem) -> Ruling:
        return self.of_path(item.path) if item.acl is None else Ruling(item.acl, "the document's own acl")

    def of_path(self, path: str) -> Ruling:
        if self.rules is not None:
            acl, rule = self.rules.decide(path)
            return Ruling(acl, f"{self.rules.name}: {'default' if rule is None else rule.path}")
        if self.allow is not None:
            return Ruling(Acl(self.allow), "--allow of its ingestion")
        return Ruling(NOBODY, "no ACL was given")
