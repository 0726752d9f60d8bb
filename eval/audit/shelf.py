"""A folder of documents with its acl.yaml: what one collection of one tenant is ingested from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from eval.audit.material import Names, RightsPair
from eval.audit.world import Document
from eval.oracle import Rights, Rules, matches

FOLDERS = ("open", "finance", "cases", "cases/closed")

PATTERNS = (*(f"{name}/**" for name in FOLDERS), "cases/", "closed", "*.md", "**/*.md", "push-*")

Rule = tuple[str, Names | None, Names]
"""Pattern, who is allowed (None where the rule only denies), who is denied."""


@dataclass(frozen=True, slots=True)
class RuleAbove:
    """A rule set through the mill, which stands above what the sources say: for a pattern, or for one document's id."""

    rule_id: int
    about: str
    is_pattern: bool
    allow: Names | None
    deny: Names

    def holds_for(self, document_id: str) -> bool:
        return matches(self.about, document_id) if self.is_pattern else self.about == document_id


@dataclass
class Shelf:
    """The folder, the rules of its acl.yaml and those above them, in their order. What stands in it the world knows."""

    tenant: str
    collection: str
    root: Path
    default: RightsPair
    rules: list[Rule] = field(default_factory=list)
    above: list[RuleAbove] = field(default_factory=list)

    def rights(self, document: Document) -> Rights:
        """Return who may read a document of the collection. Its id is its path, for a pushed one too."""
        rights = document.own or self._by_rules(document.document_id)
        for rule in self.above:
            if rule.holds_for(document.document_id):
                allow = rights.allow if rule.allow is None else frozenset(rule.allow)
                deny = frozenset(rule.deny) | (rights.deny if rule.allow is None else frozenset())
                rights = Rights(self.tenant, allow, deny)
        return rights

    def set_above(self, rule: RuleAbove) -> None:
        """Add a rule; one that allows takes the place of earlier ones about the same."""
        if rule.allow is not None:
            self.above = [one for one in self.above if (one.about, one.is_pattern) != (rule.about, rule.is_pattern)]
        self.above.append(rule)

    def _by_rules(self, path: str) -> Rights:
        """Return what acl.yaml says, by the oracle's own reading of it."""
        allow, deny = map(frozenset, self.default)
        rules = tuple(
            (pattern, None if names is None else frozenset(names), frozenset(denied))
            for pattern, names, denied in self.rules
        )
        return Rules(Rights(self.tenant, allow, deny), rules).rights(path)

    def write_rules(self) -> None:
        """Write acl.yaml; JSON is YAML."""
        rules = [
            {"path": pattern, "deny": list(deny)} | ({} if allow is None else {"allow": list(allow)})
            for pattern, allow, deny in self.rules
        ]
        default = {"allow": list(self.default[0]), "deny": list(self.default[1])}
        self.root.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"tenant": self.tenant, "default": default, "rules": rules}, indent=1)
        (self.root / "acl.yaml").write_text(text, encoding="utf-8")

    def write(self, document: Document) -> None:
        """Write the document at the path that is its id."""
        path = self.root / document.document_id
        path.parent.mkdir(parents=True, exist_ok=True)
        front = json.dumps(dict(document.metadata))
        path.write_text(
            "\n\n".join([f"---\n{front}\n---", f"# {document.title}", *document.paragraphs]), encoding="utf-8"
        )

    def remove(self, document: Document) -> None:
        (self.root / document.document_id).unlink()
