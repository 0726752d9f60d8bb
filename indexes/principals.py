"""Reads `principals.yaml`: names -> tenant, subject and groups; and groups -> tenant and members.

    alice: {tenant: halden, groups: [finance]}
    bob:   {tenant: halden, subject: "user:robert", groups: ["group:sales", staff], active: false}

The same mapping may stand under a top-level key `principals`, and beside it `groups`:

    groups:
      finance: {tenant: halden, members: [group:finance-emea, user:zed]}

Names of groups need no `group:` prefix, members do; the subject is `user:NAME` unless given. A file that holds SCIM resources as JSON
is read by `indexes.scim`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexes.errors import ConfigError, ConfigFileError
from indexes.roster import Entry, Member, Roster, check_member, check_principal_name, group_name
from indexes.scim import read_scim, scim_document
from indexes.vocabulary import Principal, check_name

_SECTIONS = {"principals", "groups"}
_KNOWN = {
    "principal": (("tenant", "subject", "groups", "active"), "{tenant: halden, groups: [finance]}"),
    "group": (("tenant", "members"), "{tenant: halden, members: [user:alice]}"),
}
"""Of each kind of entry: its fields, and an example for whoever writes something else."""


def read_principals(path: Path, *, tenant: str | None = None) -> Roster:
    """Return what the file states, principals in its order.

    Args:
        tenant: of the entries that name none.
    Raises:
        ConfigFileError: the file is missing, is neither YAML nor SCIM, or an entry is malformed; the message names the line
            (of SCIM: the resource).
        ConfigError: `tenant` cannot be one's name.
    """
    if tenant is not None:
        check_name(tenant, "tenant")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: cannot be read: {error}") from error
    if (document := scim_document(text, path=path)) is not None:
        return read_scim(document, path=path, tenant=tenant)
    return _read_yaml(text, path=path, tenant=tenant)


def _read_yaml(text: str, *, path: Path, tenant: str | None) -> Roster:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not valid YAML: {error}") from error
    sections = {"principals": root}
    if isinstance(root, yaml.MappingNode) and root.value and _SECTIONS.issuperset(key.value for key, _ in root.value):
        sections = {key.value: node for key, node in root.value}
    if not all(isinstance(node, yaml.MappingNode) and node.value for node in sections.values()):
        raise ConfigFileError(f"{path}: must map names to {{tenant, groups}}, and names none")

    principals: dict[str, Entry] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for key, node in _pairs(sections.get("principals"), path):
        with _at(path, key):
            if check_principal_name(key.value) in principals:
                raise ConfigError("is named twice")
            principals[key.value] = _principal(key.value, _fields(node, "principal"), tenant)
    for key, node in _pairs(sections.get("groups"), path):
        with _at(path, key):
            group, members = _group(key.value, _fields(node, "group"), tenant)
            if group in groups:
                raise ConfigError("is named twice")
            groups[group] = members
    return _roster(principals, groups)


def _roster(principals: dict[str, Entry], groups: dict[tuple[str, str], list[str]]) -> Roster:
    """Put together what stands with the principals and what stands with the groups, these by tenant and name."""
    stated = [entry.principal for entry in principals.values()]
    members = {Member(who.tenant, who.subject, group) for who in stated for group in who.groups}
    members |= {Member(tenant, member, group) for (tenant, group), names in groups.items() for member in names}
    tenants = {who.tenant for who in stated} | {tenant for tenant, _ in groups}
    return Roster(frozenset(tenants), principals, frozenset(members))


def _pairs(section: Any, path: Path) -> list[tuple[Any, Any]]:
    """Return the keys and values of a section, refusing entries that have a field twice.

    All of them before any is built: building one writes what `<<` brings into its node, and would make it look so.
    """
    pairs = [] if section is None else list(section.value)
    for key, node in pairs:
        fields = [field.value for field, _ in node.value] if node.id == "mapping" else []
        if twice := [field for field in dict.fromkeys(map(str, fields)) if fields.count(field) > 1]:
            with _at(path, key):
                raise ConfigError(f"has {', '.join(twice)} twice; keep one")
    return pairs


@contextmanager
def _at(path: Path, key: Any) -> Iterator[None]:
    """Say of an error where it is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigFileError(f"{path}, line {key.start_mark.line + 1}: {key.value}: {error}") from error


def _fields(node: Any, kind: str) -> dict[str, Any]:
    """Build the plain values of an entry, refusing what the safe loader does not know and fields that there are not."""
    import yaml

    known, example = _KNOWN[kind]
    loader: Any = yaml.SafeLoader("")
    try:
        entry = loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(str(error)) from error
    finally:
        loader.dispose()
    if not isinstance(entry, dict):
        raise ConfigError(f"must be a mapping such as {example}")
    if unknown := sorted(str(field) for field in entry if field not in known):
        raise ConfigError(f"has unknown fields {', '.join(unknown)}; known are {', '.join(known)}")
    return entry


def _principal(name: str, fields: dict[str, Any], tenant: str | None) -> Entry:
    subject, groups = fields.get("subject", f"user:{name}"), fields.get("groups") or []
    active = fields.get("active", True)
    if not isinstance(subject, str):
        raise ConfigError("the subject must be text such as user:alice")
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        raise ConfigError("groups must be a list of names such as [finance]")
    if not isinstance(active, bool):
        raise ConfigError("active must be true or false")
    full = (group if group.startswith("group:") else f"group:{group}" for group in groups)
    return Entry(Principal(_tenant(fields, tenant), subject, tuple(full)), active)


def _group(name: str, fields: dict[str, Any], tenant: str | None) -> tuple[tuple[str, str], list[str]]:
    """Return ((tenant, group), members)."""
    members = fields.get("members") or []
    if not isinstance(members, list):
        raise ConfigError("members must be a list such as [user:alice, group:finance-emea]")
    return (_tenant(fields, tenant), group_name(name)), [check_member(member) for member in members]


def _tenant(fields: dict[str, Any], tenant: str | None) -> str:
    stated = fields.get("tenant", tenant)
    if not isinstance(stated, str):
        raise ConfigError("needs a tenant, as text")
    return check_name(stated, "tenant")
