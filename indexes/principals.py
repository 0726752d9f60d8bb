"""Reads `principals.yaml`: names -> tenant, subject and groups.

    alice: {tenant: halden, groups: [finance]}
    bob:   {tenant: halden, subject: "user:robert", groups: ["group:sales", staff]}

The same mapping may stand under a top-level key `principals`. Groups need no `group:` prefix; the subject is
`user:NAME` unless given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexes.errors import ConfigError, ConfigFileError
from indexes.vocabulary import Principal

_FIELDS = {"tenant", "subject", "groups"}


def read_principals(path: Path) -> dict[str, Principal]:
    """Return the file's principals by name, in its order.

    Raises:
        ConfigFileError: the file is missing, is not YAML, or an entry is malformed; the message names the line.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigFileError(f"{path}: is not valid YAML: {error}") from error
    if isinstance(root, yaml.MappingNode) and [key.value for key, _ in root.value] == ["principals"]:
        root = root.value[0][1]
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise ConfigFileError(f"{path}: must map names to {{tenant, groups}}, and names none")

    principals: dict[str, Principal] = {}
    for key, node in root.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        name = key.value
        if not isinstance(name, str) or not name.strip() or "/" in name:
            raise ConfigFileError(f"{place}: a principal's name must be a word without '/'")
        if name in principals:
            raise ConfigFileError(f"{place}: {name!r} is named twice")
        try:
            principals[name] = _principal(name, _plain(yaml.SafeLoader, node))
        except ConfigError as error:
            raise ConfigFileError(f"{place}: {name}: {error}") from error
    return principals


def _plain(loader_class: Any, node: Any) -> Any:
    """Build the value of a YAML node, refusing what the safe loader does not know."""
    import yaml

    loader = loader_class("")
    try:
        return loader.construct_object(node, deep=True)
    except yaml.YAMLError as error:
        raise ConfigError(str(error)) from error
    finally:
        loader.dispose()


def _principal(name: str, entry: Any) -> Principal:
    if not isinstance(entry, dict):
        raise ConfigError("must be a mapping such as {tenant: halden, groups: [finance]}")
    unknown = sorted(str(field) for field in entry if field not in _FIELDS)
    if unknown:
        raise ConfigError(f"has unknown fields {', '.join(unknown)}; known are tenant, subject, groups")
    tenant, subject, groups = entry.get("tenant"), entry.get("subject", f"user:{name}"), entry.get("groups") or []
    if not isinstance(tenant, str):
        raise ConfigError("needs a tenant, as text")
    if not isinstance(subject, str):
        raise ConfigError("the subject must be text such as user:alice")
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        raise ConfigError("groups must be a list of names such as [finance]")
    return Principal(
        tenant, subject, tuple(group if group.startswith("group:") else f"group:{group}" for group in groups)
    )
