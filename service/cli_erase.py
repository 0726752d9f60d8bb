"""`loremill erase`: forget a document or a subject for good, and check the receipt against the raw files."""

from __future__ import annotations

from typing import Annotated

import typer

from service import render
from service.console import Home, Json, Tenant, emit, opened

erase = typer.Typer(help="Forget for good, with a receipt.")

Receipt = Annotated[str, typer.Argument(metavar="RECEIPT", help="A receipt's file, or the id of one in the home.")]


@erase.callback(invoke_without_command=True)
def erase_now(
    context: typer.Context,
    document: Annotated[str | None, typer.Option("--document", metavar="URI", help="A document's uri or id.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="user:x", help="Somebody, with all that is its own.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="C", help="Look for the document here alone.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="PRINCIPAL", help="On whose behalf, for the log and the receipt.")
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Erase a document or a subject from every store of the home, compact what is left, and print the receipt.

    Exit code 1 if something of it is still in a file; the receipt names where.
    """
    if context.invoked_subcommand is not None:
        return
    from rag.auditing import OPERATOR

    with opened(home) as mill:
        who = None if as_ is None else mill.directory.resolve(as_)
        done = mill.erase(
            document=document, subject=subject, collection=collection, by=OPERATOR if who is None else who.subject,
            tenant=tenant if who is None or tenant is not None else who.tenant,
        )  # fmt: skip
    emit(done.to_json(), as_json=json, human=render.erased)
    if done.found:
        raise typer.Exit(1)


@erase.command("verify")
def verify(receipt: Receipt, home: Home = None, json: Json = False) -> None:
    """Check a receipt's seal, and that no file of the home holds what it speaks of. Exit code 1 if either fails."""
    with opened(home) as mill:
        verdict = mill.verify_erasure(receipt)
    emit(verdict.to_json(), as_json=json, human=render.erasure_verified)
    if not verdict.ok:
        raise typer.Exit(1)


@erase.command("compact")
def compact(tenant: Tenant = None, home: Home = None, json: Json = False) -> None:
    """Write the catalog anew, without what was deleted or forgotten before: in PostgreSQL its bytes stay until then."""
    with opened(home) as mill:
        notes = mill.compact(tenant=tenant)
    emit({"notes": list(notes)}, as_json=json, human=render.compacted)
