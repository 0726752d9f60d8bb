"""Path patterns of access rules: `*` and `?` within one segment, `**` across any number of them; see `ingest.acl_file`."""

from __future__ import annotations

import re
import unicodedata

from indexes.errors import ConfigError


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a path pattern into a regular expression for `fullmatch`.

    Raises:
        ConfigError: the pattern could never match, or asks for what there is not (`!`, a backslash).
    """
    pattern = unicodedata.normalize("NFC", pattern)
    segments = pattern.strip("/").split("/")
    if pattern.startswith("!") or "\\" in pattern:
        raise ConfigError(f"path {pattern!r}: '!' and backslashes have no meaning here; write a later rule instead")
    if any(segment in {"", ".", ".."} for segment in segments) or pattern.startswith("//") or pattern.endswith("//"):
        raise ConfigError(f"path {pattern!r} can match nothing: write it relative to the root, such as finance/**")
    below = pattern.endswith("/")
    anchored = pattern.startswith("/") or len(segments) > 1
    regex = "" if anchored else "(?:[^/]+/)*"
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment != "**":
            regex += _segment(segment) + ("" if last else "/")
        elif not last:
            if index == 0 or segments[index - 1] != "**":  # a second ** in a row adds nothing but backtracking
                regex += "(?:[^/]+/)*"
        else:
            regex += ".+"
    if below:
        regex += "/.+" if segments[-1] != "**" else ""
    elif not re.search(r"[*?]", segments[-1]):
        regex += "(?:/.+)?"
    return re.compile(regex, re.DOTALL)


def plain_folder(pattern: str) -> tuple[str, str]:
    """Split a pattern into the folder that it starts in, "" if it may match anywhere, and the rest; `a/b/**` gives (a/b, **)."""
    pattern = unicodedata.normalize("NFC", pattern)
    segments = pattern.strip("/").split("/")
    if len(segments) == 1 or pattern.endswith("/"):
        return "", pattern.strip("/") if segments == ["**"] else pattern
    plain = 0
    while plain < len(segments) - 1 and not re.search(r"[*?]", segments[plain]):
        plain += 1
    return "/".join(segments[:plain]), "/".join(segments[plain:])


def _segment(segment: str) -> str:
    parts = re.split(r"(\*+|\?)", segment)
    return "".join("[^/]" if p == "?" else "[^/]*" if p.startswith("*") else re.escape(p) for p in parts)
