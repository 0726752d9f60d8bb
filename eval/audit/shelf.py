"""A folder of documents with its acl.yaml: what one collection of one tenant is ingested from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from eval.audit.material import Names, RightsPair
from eval.audit.world import Document
from eval.oracle import Rights, Rules

FOLDERS = ("open", "finance", "cases", "cases/closed")

Rule = tuple[str, Names | None, Names]
"""Pattern, who is allowed (None where the rule only denies), who is denied."""


@dataclass
class Shelf:
    """The folder, the rules of its acl.yaml in their order, and nothing else: what stands in it the world knows."""

    tenant: str
    collection: str
    root: Path
    default: RightsPair
    rules: list[Rule] = field(default_factory=list)

    def rights(self, path: str) -> Rights:
        """Return who may read the document at `path`, by the oracle's own reading of the rules."""
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
