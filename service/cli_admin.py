"""`loremill principals` and `loremill keys`: who may ask, and with which key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from indexes.directory import Role
from indexes.errors import ConfigError
from indexes.roster import group_name
from service import render
from service.console import Home, Json, Tenant, emit, opened

principals = typer.Typer(help="The people and agents that --as and API keys name.", no_args_is_help=True)
keys = typer.Typer(help="API keys for HTTP.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="An imported name.")]
GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Such as finance.")]
Member = Annotated[str, typer.Argument(metavar="MEMBER", help="user:NAME, agent:NAME, service:NAME or group:NAME.")]
OfTenant = Annotated[str, typer.Option("--tenant", metavar="T", help="The tenant whose group it is.")]


@principals.command("import")
def import_principals(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="principals.yaml, or SCIM users and groups as JSON.")],
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make FILE's entries the principals and groups of its tenants. Those it no longer names lose their keys at once."""
    with opened(home) as mill:
        count = mill.directory.import_principals(file, tenant=tenant)
    emit({"imported": count}, as_json=json, human=render.imported)


@principals.command("list")
def list_principals(home: Home = None, json: Json = False) -> None:
    """List the imported principals with all their groups, those within groups too, and whether they are active."""
    with opened(home) as mill:
        entries = mill.directory.list_principals()
    emit({"principals": [entry.to_json() for entry in entries]}, as_json=json, human=render.principals)


@principals.command("add-member")
def add_member(group: GroupName, member: Member, tenant: OfTenant, home: Home = None, json: Json = False) -> None:
    """Put a principal or a group into a group, until the next import of the tenant."""
    with opened(home) as mill:
        added = mill.directory.add_member(group, member, tenant)
    emit(
        {"tenant": tenant, "group": group_name(group), "member": member, "added": added},
        as_json=json,
        human=render.fields,
    )


@principals.command("remove-member")
def remove_member(group: GroupName, member: Member, tenant: OfTenant, home: Home = None, json: Json = False) -> None:
    """Take a principal or a group out of a group. It holds for the next query."""
    with opened(home) as mill:
        if not mill.directory.remove_member(group, member, tenant):
            raise ConfigError(f"{member} is not itself a member of {group_name(group)} in tenant {tenant}")
    emit(
        {"tenant": tenant, "group": group_name(group), "member": member, "removed": True},
        as_json=json,
        human=render.fields,
    )


@principals.command("deactivate")
def deactivate(name: Name, home: Home = None, json: Json = False) -> None:
    """Take every right from a principal, its keys included, at once; it stays known."""
    with opened(home) as mill:
        mill.directory.deactivate(name)
    emit({"name": name, "active": False}, as_json=json, human=render.fields)


@principals.command("activate")
def activate(name: Name, home: Home = None, json: Json = False) -> None:
    """Give a deactivated principal its rights back."""
    with opened(home) as mill:
        mill.directory.activate(name)
    emit({"name": name, "active": True}, as_json=json, human=render.fields)


@keys.command("create")
def create_key(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="An imported name, or tenant/user:x,group:y.")],
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            help="reader; editor puts and deletes documents too; curator changes rights; administrator reads the log and acts as others.",
        ),
    ] = Role.READER,
    label: Annotated[str, typer.Option("--label", help="What the key is for.")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Make an API key for a principal. Its secret is shown this once."""
    with opened(home) as mill:
        key_id, secret = mill.directory.create_key(principal, label=label, role=role)
    made = {"key_id": key_id, "secret": secret, "principal": principal, "role": role.value, "label": label}
    emit(made, as_json=json, human=render.key_made)


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(metavar="KEY_ID")], home: Home = None, json: Json = False) -> None:
    """Revoke an API key; it stops working at once."""
    with opened(home) as mill:
        if not mill.directory.revoke_key(key_id):
            raise ConfigError(f"no key that still holds has the id {key_id!r}; see `loremill keys list`")
    emit({"key_id": key_id, "revoked": True}, as_json=json, human=render.key_revoked)


@keys.command("list")
def list_keys(home: Home = None, json: Json = False) -> None:
    """List all API keys without their secrets."""
    with opened(home) as mill:
        infos = mill.directory.list_keys()
    emit({"keys": [info.to_json() for info in infos]}, as_json=json, human=render.keys)
