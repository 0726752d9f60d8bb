"""`loremill audit`: is the log whole, who saw what, and how long it is kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from indexes.errors import ConfigError
from service import cli_crossings, cli_leaks, render
from service.console import Home, Json, Tenant, emit, opened

if TYPE_CHECKING:
    from indexes.audit import AuditLog
    from rag.loremill import Loremill

audit = typer.Typer(help="Who saw what, and whether the log of it is whole.", no_args_is_help=True)


audit.command("leaks")(cli_leaks.leaks)
audit.command("memory")(cli_crossings.memory)


@audit.command("verify")
def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="HASH", help="The head of an earlier verdict: it must still be there."),
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check that no record was changed, dropped, added or moved. Exit code 1 if one was."""
    with opened(home) as mill:
        verdict = _log_of(mill, tenant).verify(expected_head=head)
    emit(verdict.to_json(), as_json=json, human=render.audited)
    if not verdict.ok:
        raise typer.Exit(1)


@audit.command("access")
def access(
    document: Annotated[str | None, typer.Option("--document", metavar="ID", help="Only events about it.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="user:x", help="Only what was done as, or by, this one.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="K", help="Only events of this kind.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="ISO", help="At this time (UTC) or later.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="ISO", help="Before this time (UTC).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most events shown, oldest first.")] = 1000,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List who saw which chunk by which rule, and who changed what."""
    with opened(home) as mill:
        events = _log_of(mill, tenant).read(
            document=document, subject=subject, kind=kind, limit=limit,
            since=None if since is None else _time(since, "--since"),
            until=None if until is None else _time(until, "--until"),
        )  # fmt: skip
        found = list(events)
    emit({"events": found}, as_json=json, human=render.accesses)


@audit.command("prune")
def prune(
    before: Annotated[str, typer.Option("--before", metavar="ISO", help="Days that end before this time (UTC) go.")],
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Remove old records for good. What remains still verifies, and says what was removed."""
    limit = _time(before, "--before")
    with opened(home) as mill:
        removed = _log_of(mill, tenant).prune(limit)
    emit({"removed": removed}, as_json=json, human=render.pruned)


def _log_of(mill: Loremill, tenant: str | None) -> AuditLog:
    """Return the log of the named tenant, or of the only one."""
    from indexes.audit import AuditLog
    from rag.tenant import tenant_names

    names = tenant_names(mill.home, mill.settings)
    if tenant is None and len(names) > 1:
        raise ConfigError(f"there are the tenants {', '.join(names)}, each with a log of its own: add --tenant")
    chosen = [name for name in names if tenant in (None, name)]
    if not chosen:
        raise ConfigError("there is no such tenant" if tenant else "there is no tenant yet: ingest something first")
    return AuditLog.of(mill.home / "tenants" / chosen[0], mill.settings)


def _time(value: str, option: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(f"{option} {value!r} is no ISO time such as 2026-05-31 or 2026-05-31T18:00:00Z") from None
