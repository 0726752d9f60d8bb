"""`loremill acl` and `loremill explain`: who may read what, above what the sources say, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from service import render
from service.console import As, Collection, Home, Json, Tenant, emit, opened, split_list

acl = typer.Typer(help="Who may read what, above what the sources say.", no_args_is_help=True)


@acl.command("set")
def set_acl(
    collection: Collection,
    path: Annotated[str | None, typer.Option("--path", metavar="GLOB", help="Pattern as in acl.yaml.")] = None,
    document: Annotated[str | None, typer.Option("--document", metavar="ID", help="One document instead.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="NAMES", help="everyone, group:x, user:y; '' is nobody.")
    ] = None,
    deny: Annotated[list[str] | None, typer.Option("--deny", metavar="NAMES", help="Who may not; beats allow.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Set who may read what GLOB matches. It holds for the next query, and later ingestions do not undo it.

    Without --allow what holds is kept, and --deny is added to it.
    """
    with opened(home) as mill:
        change = mill.set_acl(
            collection=collection,
            path=path,
            document_id=document,
            allow=split_list(allow),
            deny=split_list(deny) or (),
            tenant=tenant,
        )
    done = {"collection": collection, "rule": change.rule.to_json(), "documents": change.documents}
    emit(done, as_json=json, human=render.rule_changed)


@acl.command("unset")
def unset_acl(
    rule: Annotated[int, typer.Argument(metavar="RULE", help="Its number, as `loremill acl list` shows it.")],
    collection: Collection,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Remove a rule; what the sources say holds again."""
    with opened(home) as mill:
        change = mill.unset_acl(rule, collection=collection, tenant=tenant)
    done = {"collection": collection, "rule": change.rule.to_json(), "documents": change.documents}
    emit(done, as_json=json, human=render.rule_changed)


@acl.command("list")
def list_acl(collection: Collection, tenant: Tenant = None, home: Home = None, json: Json = False) -> None:
    """List the rules that stand above the sources', in the order in which they are applied."""
    with opened(home) as mill:
        found = [rule.to_json() for rule in mill.acl_rules(collection, tenant=tenant)]
    emit({"collection": collection, "rules": found}, as_json=json, human=render.acl_rules)


def explain(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Its id or uri.")],
    as_: As,
    collection: Annotated[str | None, typer.Option("--collection", metavar="C", help="Look in this one only.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Say whether a principal may read a document, by which rule, and through which groups. Exit code 1 if it may not."""
    with opened(home) as mill:
        principal = mill.directory.resolve(as_)
        found = mill.explain(document, principal=principal, collection=collection)
    emit({"document": document, "explained": [one.to_json() for one in found]}, as_json=json, human=render.explained)
    if not any(one.readable for one in found):
        raise typer.Exit(1)
