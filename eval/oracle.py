"""An independent judge of who may read what: rights and texts read again from the source folder, past the index.

It has its own small reading of `acl.yaml` on purpose: shared code would hide its own fault from the check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from eval.answers import words
from indexes.errors import DatasetError, IngestError
from indexes.vocabulary import Principal

SHINGLE = 8
"""Words in a row that name their source: unrelated documents hardly share eight by chance."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may read one document of one tenant; deny beats allow."""

    tenant: str
    allow: frozenset[str]
    deny: frozenset[str] = frozenset()

    def admit(self, principal: Principal) -> bool:
        """Whether `principal` may read."""
        names = {"everyone", principal.subject, *principal.groups}
        return principal.tenant == self.tenant and bool(names & self.allow) and not names & self.deny


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one acl.yaml in file order, as (pattern, allow or None, deny)."""

    default: Rights
    rules: tuple[tuple[str, frozenset[str] | None, frozenset[str]], ...]

    def rights(self, path: str) -> Rights:
        """Return the rights of `path`: the last matching rule holds; one that only denies adds to those before it."""
        allow, deny = self.default.allow, self.default.deny
        for pattern, rule_allow, rule_deny in self.rules:
            if matches(pattern, path):
                allow, deny = (allow, deny | rule_deny) if rule_allow is None else (rule_allow, rule_deny)
        return Rights(self.default.tenant, allow, deny)


def read_rules(path: str | Path, *, tenant: str | None = None) -> Rules:
    """Read an acl.yaml; `tenant` stands in where the file names none.

    Raises:
        DatasetError: it cannot be read, has another shape, or no tenant is known.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
        rules = tuple(
            (rule["path"], _names(rule, "allow"), _names(rule, "deny") or frozenset())
            for rule in content.get("rules", ())
        )
        default = content.get("default", {})
        allow, deny = (_names(default, side) or frozenset() for side in ("allow", "deny"))
        return Rules(Rights(tenant or content["tenant"], allow, deny), rules)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"not an ACL file: {error}", path=str(path)) from error


def matches(pattern: str, path: str) -> bool:
    """Whether an acl.yaml pattern means `path` (posix, relative to the root).

    `**` spans folders, `*` and `?` do not. Without a slash it means that name at any depth; a trailing slash, or
    a plain name at the end, means everything below too.
    """
    parts = [part for part in pattern.split("/") if part]
    if "/" not in pattern.rstrip("/"):
        parts = ["**", *parts]
    if pattern.endswith("/"):
        parts.append("**")
    names = path.split("/")
    below = not pattern.endswith("/") and not any(mark in parts[-1] for mark in "*?")
    return _match(parts, names) or (below and _match([*parts, "**"], names))


@dataclass(frozen=True)
class Oracle:
    """Each document's text (with its title) and rights, by document id."""

    texts: Mapping[str, str]
    rights: Mapping[str, Rights]

    def readable(self, principal: Principal) -> frozenset[str]:
        """Return the ids of the documents that `principal` may read."""
        return frozenset(name for name, rights in self.rights.items() if rights.admit(principal))

    def foreign(self, text: str, readable: frozenset[str], *, known: str = "") -> frozenset[str]:
        """Return the documents outside `readable` that `text` was taken from.

        These have eight words in a row with it that stand in no readable document. A text of fewer words is looked up
        whole. Word runs of `known`, the asker's own words, betray nothing.

        Cost: O(words), or one scan of all texts for a text shorter than eight words.
        """
        found: set[str] = set()
        for shingle in _shingles(words(text)):
            sources = self._sources(shingle)
            if sources and sources.isdisjoint(readable) and f" {shingle} " not in _padded(known):
                found |= sources
        return frozenset(found)

    def _sources(self, shingle: str) -> frozenset[str]:
        if shingle.count(" ") + 1 >= SHINGLE:
            return self._index.get(shingle, frozenset())
        if shingle not in self._short:
            self._short[shingle] = frozenset(name for name, run in self._runs.items() if f" {shingle} " in run)
        return self._short[shingle]

    @cached_property
    def _runs(self) -> dict[str, str]:
        return {name: _padded(text) for name, text in self.texts.items()}

    @cached_property
    def _index(self) -> dict[str, frozenset[str]]:
        places: dict[str, set[str]] = {}
        for name, run in self._runs.items():
            for shingle in _shingles(run.split()):
                places.setdefault(shingle, set()).add(name)
        return {shingle: frozenset(names) for shingle, names in places.items()}

    @cached_property
    def _short(self) -> dict[str, frozenset[str]]:
        return {}


def read_oracle(folder: str | Path, *, acl: str | Path | None = None, tenant: str | None = None) -> Oracle:
    """Read the texts of a folder and its ACL file (`acl`, or `folder/acl.yaml`).

    A document that cannot be parsed has no text to leak; its rights are judged all the same.
    """
    from ingest.clean import normalise
    from ingest.parse import parse
    from ingest.sources import open_source

    rules = read_rules(acl or Path(folder) / "acl.yaml", tenant=tenant)
    texts: dict[str, str] = {}
    rights: dict[str, Rights] = {}
    for item in open_source(folder).items():
        rights[item.document_id] = rules.rights(item.path)
        if item.acl is not None:
            rights[item.document_id] = Rights(rules.default.tenant, frozenset(item.acl.allow), frozenset(item.acl.deny))
        try:
            parsed = parse(item.read(), uri=item.uri, format=item.format)
            title = item.title or parsed.title  # hits show the title, which the text need not repeat
            texts[item.document_id] = normalise(f"{title}\n\n{parsed.text}")
        except IngestError:
            texts[item.document_id] = ""
    return Oracle(texts, rights)


def _names(rule: Mapping[str, Any], side: str) -> frozenset[str] | None:
    return frozenset(rule[side]) if side in rule else None


def _match(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return (
            bool(names) if len(parts) == 1 else any(_match(parts[1:], names[skip:]) for skip in range(len(names) + 1))
        )
    return bool(names) and fnmatchcase(names[0], parts[0].replace("[", "[[]")) and _match(parts[1:], names[1:])


def _padded(text: str) -> str:
    return f" {' '.join(words(text))} "


def _shingles(run: list[str]) -> list[str]:
    """Every eight words in a row; the whole text where it is shorter, nothing where it is empty."""
    return [" ".join(run[start : start + SHINGLE]) for start in range(max(len(run) - SHINGLE + 1, 1))] if run else []
