"""A YAML file as plain values that still know their lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexes.errors import ConfigFileError

LineOf = Callable[[tuple[int | str, ...]], int]
"""From a path of keys and list positions to the line where its value stands, or the deepest part of it that there is."""


def read_mapping(path: Path) -> tuple[dict[Any, Any], LineOf]:
    """Read a YAML file that holds one mapping, as `parse_mapping` does.

    Raises:
        ConfigFileError: it cannot be read, or as `parse_mapping`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: the file cannot be read: {error}") from error
    return parse_mapping(text, name=str(path))


def parse_mapping(text: str, *, name: str) -> tuple[dict[Any, Any], LineOf]:
    """Read YAML that holds one mapping, an empty one included; `name` stands in the errors.

    Returns:
        The mapping, and the lines of what is in it, counted from 1.
    Raises:
        ConfigFileError: it is not YAML, has a key twice in one mapping, or holds something else.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        repeated = _repeated_key(node, set())
        if repeated is not None:
            raise ConfigFileError(f"{name}:{_line(repeated)}: {repeated.value!r} stands there twice; keep one")
        values = {} if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}:{mark.line + 1}"
        raise ConfigFileError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(values, dict):
        raise ConfigFileError(f"{name}:{_line(node)}: the file must be a mapping of keys to values")
    return values, lambda keys: _line(_descend(node, keys))


def _line(node: Any) -> int:
    return 1 if node is None else int(node.start_mark.line) + 1


def _repeated_key(node: Any, seen: set[int]) -> Any:
    """Return the second of two equal keys of one mapping in the tree, or None; an alias is visited once."""
    if node is None or node.id == "scalar" or id(node) in seen:
        return None
    seen.add(id(node))
    if node.id == "sequence":
        return next((found for item in node.value if (found := _repeated_key(item, seen))), None)
    keys: set[str] = set()
    for key, value in node.value:
        if key.id == "scalar" and key.value in keys:
            return key
        keys.add(key.value if key.id == "scalar" else "")
        if found := _repeated_key(value, seen):
            return found
    return None


def _descend(node: Any, keys: tuple[int | str, ...]) -> Any:
    for key in keys:
        if node is None or node.id == "scalar":
            break
        if node.id == "sequence":
            if not isinstance(key, int) or key >= len(node.value):
                break
            node = node.value[key]
        else:
            below = next((value for name, value in node.value if name.value == key), None)
            if below is None:
                break
            node = below
    return node
