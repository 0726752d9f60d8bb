"""acl.yaml: which path is readable by whom. The last matching rule wins, as in CODEOWNERS.

    tenant: halden                        # optional
    default: {allow: [everyone]}          # without a default: nobody
    rules:
      - path: "finance/**"
        allow: [group:finance]
      - path: "hr/cases/**"
        allow: [group:hr]
        deny: [user:eve]

Patterns: `*` and `?` stay within one path segment, `**` as a whole segment spans any number of them, none included. A
pattern without a slash matches that name at any depth; with one it starts at the root, as a leading `/` says aloud. A
trailing `/` means everything below. A pattern that ends in a plain name also means everything below that name.
Brackets and braces are ordinary characters.

A rule replaces the decision before it: a missing `allow` is nobody. A rule that states only `deny` narrows: it keeps
the decision before it and adds its own names to deny, so that no rule without `allow` ever opens anything.

The file decides who may read, so it is read strictly: an unknown or repeated key or a wrong type is an error with its
line, and nothing is indexed, rather than a guess that opens or closes a folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from indexes.errors import ConfigError, ConfigFileError
from indexes.path_pattern import compile_pattern
from indexes.vocabulary import NOBODY, Acl, check_name

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `rules`; `allow` is None where the rule only denies."""

    path: str
    allow: tuple[str, ...] | None
    deny: tuple[str, ...]
    line: int
    regex: re.Pattern[str] = field(compare=False, repr=False)

    def apply(self, before: Acl) -> Acl:
        """Return the decision after this rule, given the one before it."""
        if self.allow is None:
            return Acl(before.allow, (*before.deny, *self.deny))
        return Acl(self.allow, self.deny)


@dataclass(frozen=True, slots=True)
class AclRules:
    """The content of one acl.yaml."""

    tenant: str | None
    default: Acl
    rules: tuple[Rule, ...]
    name: str = "acl.yaml"

    @classmethod
    def load(cls, path: str | Path) -> AclRules:
        """Read the file.

        Raises:
            ConfigFileError: it cannot be read, is not YAML, or is not of the form above; names file, line and what is
                expected.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigFileError(f"{path}: the ACL file cannot be read: {error}") from error
        return cls.parse(text, name=str(path))

    @classmethod
    def parse(cls, text: str, *, name: str = "acl.yaml") -> AclRules:
        """Read the text of an ACL file; `name` stands in the errors. Raises ConfigFileError as `load` does."""
        import yaml

        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = name if mark is None else f"{name}:{mark.line + 1}"
            raise ConfigFileError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
        return _Reader(name).rules(node)

    def resolve(self, path: str) -> tuple[Acl, str]:
        """Return the ACL of `path` (relative to the source's root, `/` between segments) and the line that decided it."""
        acl, rule = self.decide(path)
        return acl, f"{self.name}: default" if rule is None else f"{self.name}:{rule.line}: {rule.path}"

    def decide(self, path: str) -> tuple[Acl, Rule | None]:
        """Return the ACL of `path` and the last rule that had a say; None if it is the default."""
        path = unicodedata.normalize("NFC", path).lstrip("/")
        acl, last = self.default, None
        for rule in self.rules:
            if rule.regex.fullmatch(path):
                acl, last = rule.apply(acl), rule
        return acl, last


class _Reader:
    """Walks the YAML nodes, which know their lines, where plain values would not."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, node: Any, message: str) -> ConfigFileError:
        where = self.name if node is None else f"{self.name}:{node.start_mark.line + 1}"
        return ConfigFileError(f"{where}: {message}")

    def rules(self, node: Any) -> AclRules:
        keys = self.mapping(node, {"tenant", "default", "rules"}, "the file")
        tenant = None
        if "tenant" in keys:
            tenant = self.checked(keys["tenant"], lambda: check_name(self.text(keys["tenant"], "tenant"), "tenant"))
        default = NOBODY
        if "default" in keys:
            lists = self.mapping(keys["default"], {"allow", "deny"}, "default")
            allow, deny = (self.names(lists[key], key) if key in lists else () for key in ("allow", "deny"))
            default = Acl(allow, deny)
        listed = self.sequence(keys["rules"], "rules") if "rules" in keys else []
        return AclRules(tenant, default, tuple(self.rule(item) for item in listed), self.name)

    def rule(self, node: Any) -> Rule:
        keys = self.mapping(node, {"path", "allow", "deny"}, "a rule")
        if "path" not in keys or not keys.keys() & {"allow", "deny"}:
            raise self.fail(node, "a rule needs a path, and allow or deny")
        path = self.text(keys["path"], "path")
        regex = self.checked(keys["path"], lambda: compile_pattern(path))
        allow = self.names(keys["allow"], "allow") if "allow" in keys else None
        deny = self.names(keys["deny"], "deny") if "deny" in keys else ()
        return Rule(path, allow, deny, node.start_mark.line + 1, regex)

    def mapping(self, node: Any, allowed: set[str], what: str) -> dict[str, Any]:
        if node is None or node.id != "mapping":
            raise self.fail(node, f"{what} must be a mapping with the keys {', '.join(sorted(allowed))}")
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar" or key.value not in allowed:
                raise self.fail(key, f"unknown key {key.value!r}; {what} may have {', '.join(sorted(allowed))}")
            if key.value in found:
                raise self.fail(key, f"{key.value!r} stands there twice")
            found[key.value] = value
        return found

    def sequence(self, node: Any, what: str) -> list[Any]:
        if node.id != "sequence":
            raise self.fail(node, f"{what} must be a list")
        return list(node.value)

    def text(self, node: Any, what: str) -> str:
        if node.id != "scalar" or not node.tag.endswith(":str"):
            raise self.fail(node, f"{what} must be text; write it in quotes")
        return str(node.value)

    def names(self, node: Any, what: str) -> tuple[str, ...]:
        if node.id != "sequence":
            raise self.fail(node, f"{what} must be a list of names such as [group:finance]; nobody is []")
        names = tuple(self.text(item, f"a name in {what}") for item in node.value)
        return self.checked(node, lambda: Acl(allow=names)).allow

    def checked(self, node: Any, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except ConfigError as error:
            raise error if str(error).startswith(self.name) else self.fail(node, str(error)) from error
