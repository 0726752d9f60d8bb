"""Globs over paths that lie in no file system that could match them itself."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches(parts: list[str], pattern: list[str]) -> bool:
    """Whether a path's segments match a glob's: `**` any number of them, `*` and `?` within one. Cost: their product."""
    reached = {0}
    for part in parts:
        reached = _past_stars(reached, pattern)
        reached = {
            index + (pattern[index] != "**")
            for index in reached
            if index < len(pattern) and (pattern[index] == "**" or fnmatchcase(part, pattern[index]))
        }
    return len(pattern) in _past_stars(reached, pattern)


def _past_stars(reached: set[int], pattern: list[str]) -> set[int]:
    found = set(reached)
    for index, segment in enumerate(pattern):
        if index in found and segment == "**":
            found.add(index + 1)
    return found
