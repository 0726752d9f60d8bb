"""`loremill principals`, `loremill keys` and `loremill release`: who may ask, with which key, and what is served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from indexes.directory import Role
from indexes.errors import ConfigError
from service import render
from service.console import Home, Json, Tenant, emit, opened

principals = typer.Typer(help="The people and agents that --as and API keys name.", no_args_is_help=True)
keys = typer.Typer(help="API keys for HTTP.", no_args_is_help=True)
release = typer.Typer(help="What is served.", no_args_is_help=True)


@principals.command("import")
def import_principals(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="principals.yaml")], home: Home = None, json: Json = False
) -> None:
    """Make FILE's entries the principals of its tenants. Those it no longer names lose their keys at once."""
    with opened(home) as mill:
        count = mill.directory.import_principals(file)
    emit({"imported": count}, as_json=json, human=render.imported)


@principals.command("list")
def list_principals(home: Home = None, json: Json = False) -> None:
    """List the imported principals."""
    with opened(home) as mill:
        entries = mill.directory.list_principals()
    rows = [
        {"name": name, "tenant": who.tenant, "subject": who.subject, "groups": list(who.groups)}
        for name, who in entries
    ]
    emit({"principals": rows}, as_json=json, human=render.principals)


@keys.command("create")
def create_key(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="An imported name, or tenant/user:x,group:y.")],
    role: Annotated[Role, typer.Option("--role", help="An editor may also put and delete documents.")] = Role.READER,
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


@release.command("list")
def list_releases(
    collection: Annotated[str | None, typer.Option("--collection", metavar="C", help="Only this collection's.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List releases: build, prompt and generator of each, and which is live."""
    with opened(home) as mill:
        found = mill.releases(collection, tenant=tenant)
    emit({"releases": [one.to_json() for one in found]}, as_json=json, human=render.releases)


@release.command("show")
def show_release(
    release_id: Annotated[str, typer.Argument(metavar="RELEASE")],
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show one release."""
    with opened(home) as mill:
        found = [one.to_json() for one in mill.releases(None, tenant=tenant)]
    chosen = [one for one in found if one["id"] == release_id]
    if not chosen:
        raise ConfigError(f"no release {release_id!r}; see `loremill release list`")
    emit(chosen[0], as_json=json, human=render.fields)
