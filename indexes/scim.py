"""Reads users and groups as SCIM writes them: a ListResponse, or a bare list of resources, as JSON.

    {"tenant": "halden", "Resources": [
      {"id": "2819c223", "userName": "alice", "active": true},
      {"id": "e9e30dba", "displayName": "finance", "members": [{"value": "2819c223", "type": "User"}]}]}

A User becomes the principal `userName` with the subject `user:userName`, a Group `group:displayName`. What a User says of its groups is
ignored: there it is read-only, and the Groups' members are the truth.

Source: RFC 7643 (resources; names of attributes know no case, section 2.1), RFC 7644 section 3.4.2 (ListResponse).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from indexes.errors import ConfigError, ConfigFileError
from indexes.roster import Entry, Member, Roster, check_member, check_principal_name, group_name
from indexes.vocabulary import Principal, check_name

Kind = Literal["User", "Group"]
_SCHEMAS: dict[str, Kind] = {
    "urn:ietf:params:scim:schemas:core:2.0:user": "User",
    "urn:ietf:params:scim:schemas:core:2.0:group": "Group",
}


@dataclass(frozen=True, slots=True)
class _Resource:
    """A User or Group; `place` says where it stands, `name` is its userName or displayName, `subject` what an ACL calls it."""

    place: str
    kind: Kind
    id: str | None
    name: str
    subject: str
    attributes: Mapping[str, Any]


def scim_document(text: str, *, path: Path) -> Any:
    """Return the JSON of a text that has SCIM's shape, names of attributes in lower case; None of any other text.

    Raises:
        ConfigFileError: an object has an attribute twice, or the file calls itself JSON and is not.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        document = json.loads(text)
        if isinstance(document, dict) and "resources" not in {key.lower() for key in document}:
            return None
        return json.loads(text, object_pairs_hook=_attributes)
    except ConfigError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() != ".json":
            return None
        raise ConfigFileError(f"{path}: is not valid JSON: {error}") from error


def read_scim(document: Any, *, path: Path, tenant: str | None) -> Roster:
    """Return what a document of `scim_document` states, all of it of one tenant.

    Args:
        tenant: whose users and groups these are, where the document does not say.
    Raises:
        ConfigFileError: there is no tenant or are two, the document is one page of several, a resource is malformed, two
            resources have one name, or a group has a member that is not there; the message names the resource.
    """
    resources = document if isinstance(document, list) else document.get("resources")
    try:
        if not isinstance(resources, list) or not resources:
            raise ConfigError("Resources must be a list of Users and Groups, and names none")
        whose = _tenant({} if isinstance(document, list) else document, tenant, len(resources))
    except ConfigError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    found = [_resource(item, f"{path}: Resources[{number}]") for number, item in enumerate(resources)]
    _refuse_twins(found)
    principals = {one.name: Entry(Principal(whose, one.subject), _active(one)) for one in found if one.kind == "User"}
    by_id = {one.id: one for one in found if one.id is not None}
    by_name = {(one.kind, one.name): one for one in found}
    members = frozenset(
        Member(whose, _referred(member, group, by_id, by_name).subject, group.subject)
        for group in found
        if group.kind == "Group"
        for member in _members(group)
    )
    return Roster(frozenset({whose}), principals, members)


def _attributes(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in pairs:
        if name.lower() in attributes:
            raise ConfigError(f"an object has {name!r} twice (names know no case in SCIM); keep one")
        attributes[name.lower()] = value
    return attributes


def _tenant(document: Mapping[str, Any], given: str | None, count: int) -> str:
    total = document.get("totalresults", count)
    if total != count:
        raise ConfigError(
            f"has {count} of {total!r} resources; an import replaces all, so put every page into one file"
        )
    stated = document.get("tenant", given)
    if not isinstance(stated, str):
        raise ConfigError('SCIM knows no tenants: add --tenant T, or a top-level "tenant": "T"')
    if given not in (None, stated):
        raise ConfigError(f"is of tenant {stated!r}, not {given!r}")
    return check_name(stated, "tenant")


def _resource(item: Any, place: str) -> _Resource:
    try:
        if not isinstance(item, dict):
            raise ConfigError("must be an object, a User or a Group")
        kind = _kind(item)
        attribute = "userName" if kind == "User" else "displayName"
        id, name = item.get("id"), item.get(attribute.lower())
        if id is not None and (not isinstance(id, str) or not id):
            raise ConfigError("id must be text")
        if not isinstance(name, str) or not name or name != name.strip():
            raise ConfigError(f"a {kind} needs a {attribute}, as text without space around it")
        subject = group_name(f"group:{name}") if kind == "Group" else check_member(f"user:{check_principal_name(name)}")
    except ConfigError as error:
        raise ConfigFileError(f"{place}: {error}") from error
    return _Resource(f"{place}, {kind} {name!r}", kind, id, name, subject, item)


def _kind(item: Mapping[str, Any]) -> Kind:
    """Tell a User from a Group by its schemas; without them by the attribute that its kind must have."""
    if "schemas" not in item:
        if "username" in item:
            return "User"
        if "displayname" in item:
            return "Group"
        raise ConfigError("has neither schemas nor userName nor displayName; it must be a User or a Group")
    schemas = item["schemas"]
    known = {_SCHEMAS.get(str(name).lower()) for name in schemas} if isinstance(schemas, list) else set()
    kinds = [kind for kind in _SCHEMAS.values() if kind in known]
    if len(kinds) != 1:
        raise ConfigError(f"schemas must name the core schema of User or of Group, got {schemas!r}")
    return kinds[0]


def _refuse_twins(resources: Iterable[_Resource]) -> None:
    """Refuse two resources of one id or name: one would get what is meant for the other. userNames know no case."""
    seen: dict[tuple[str, str], _Resource] = {}
    for one in resources:
        keys = [("name", one.subject.casefold() if one.kind == "User" else one.subject)]
        keys += [("id", one.id)] if one.id is not None else []
        for key in keys:
            if key in seen:
                raise ConfigFileError(
                    f"{one.place}: has the {key[0]} of {seen[key].place}; they could not be told apart"
                )
            seen[key] = one


def _active(user: _Resource) -> bool:
    active = user.attributes.get("active", True)
    if not isinstance(active, bool):
        raise ConfigFileError(f"{user.place}: active must be true or false, got {active!r}")
    return active


def _members(group: _Resource) -> list[Any]:
    members = group.attributes.get("members")
    if members is not None and not isinstance(members, list):
        raise ConfigFileError(f"{group.place}: members must be a list")
    return members or []


def _referred(
    member: Any, group: _Resource, by_id: Mapping[str, _Resource], by_name: Mapping[tuple[Kind, str], _Resource]
) -> _Resource:
    """Return the resource that a member's `value` refers to: by id or, where no resource has this id, by name."""
    value = member.get("value") if isinstance(member, dict) else None
    if not isinstance(value, str):
        raise ConfigFileError(f"{group.place}: a member needs a value, as text")
    kind = member.get("type")
    if kind not in (None, *_SCHEMAS.values()):
        raise ConfigFileError(f"{group.place}: member {value!r} has the type {kind!r}; it must be User or Group")
    kinds: list[Kind] = list(_SCHEMAS.values())
    named = [by_name[one, value] for one in kinds if (one, value) in by_name]
    found = [one for one in ([by_id[value]] if value in by_id else named) if kind in (None, one.kind)]
    if not found:
        raise ConfigFileError(f"{group.place}: member {value!r} is no {kind or 'User or Group'} of this file")
    if len(found) > 1:
        raise ConfigFileError(f"{group.place}: member {value!r} is a User and a Group; give its type")
    return found[0]
