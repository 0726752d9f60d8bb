"""Where a document's rights come from."""

from __future__ import annotations

from dataclasses import dataclass

from indexes.vocabulary import NOBODY, Acl
from ingest.acl_file import AclRules
from ingest.sources import SourceItem


@dataclass(frozen=True, slots=True)
class Rights:
    """A document's ACL: its own row's, else by `rules`, else `allow`, else nobody may read it."""

    rules: AclRules | None = None
    allow: tuple[str, ...] | None = None

    def of(self, item: SourceItem) -> Acl:
        return item.acl if item.acl is not None else self.of_path(item.path)

    def of_path(self, path: str) -> Acl:
        if self.rules is not None:
            return self.rules.resolve(path)[0]
        return Acl(self.allow) if self.allow is not None else NOBODY
