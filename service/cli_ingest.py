"""`loremill ingest`, `quarantine` and `lineage`: documents in, what did not come in, and where a chunk comes from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexes.errors import ConfigError
from service import render
from service.console import Collection, Home, Json, Tenant, emit, opened, progress_bars, split_list

if TYPE_CHECKING:
    from rag.loremill import Loremill

quarantine = typer.Typer(help="Source items that could not be indexed.", no_args_is_help=True)


def ingest(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Folders, files, globs, JSONL or mbox files, or URLs.")
    ],
    collection: Collection,
    acl: Annotated[
        Path | None, typer.Option("--acl", metavar="FILE", help="Access rules, instead of acl.yaml.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="Who may read all of it, such as everyone.")
    ] = None,
    tenant: Tenant = None,
    format: Annotated[str, typer.Option("--format", metavar="auto|beir|sql", help="What the source holds.")] = "auto",
    query: Annotated[
        str | None, typer.Option("--query", metavar="SQL|@FILE", help="The SELECT of a SQL source.")
    ] = None,
    contract: Annotated[
        Path | None,
        typer.Option("--contract", metavar="FILE", help="What documents must be like, instead of contract.yaml."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read unchanged documents again too.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Tell what would be done, and do nothing.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, whenever the source changes, until interrupted.")
    ] = False,
    interval: Annotated[
        float | None, typer.Option("--interval", min=0.1, help="With --watch: look every so many seconds.")
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", metavar="FILE", help="Write metrics for Prometheus's textfile collector."),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Bring documents into a collection. The first ingest of a collection also makes its first release."""
    arguments: dict[str, Any] = {
        "collection": collection,
        "tenant": tenant,
        "acl": acl,
        "allow": split_list(allow),
        "format": format,
        "query": query,
        "contract": contract,
        "full": full,
    }
    if watch and (plan or len(sources) > 1):
        raise ConfigError("--watch takes one source, and not --plan")
    with opened(home) as mill, progress_bars() as progress:
        if watch:
            _watch(mill, sources[0], arguments, interval=interval, metrics=metrics, as_json=json)
            return
        act = mill.plan if plan else mill.ingest
        reports = [act(source, **arguments, progress=progress).to_json() for source in sources]
    done = _together(reports)
    if metrics is not None and not plan:
        _write_metrics(metrics, done)
    emit(done, as_json=json, human=render.planned if plan else render.ingested)


def _watch(
    mill: Loremill,
    source: str,
    arguments: Mapping[str, Any],
    *,
    interval: float | None,
    metrics: Path | None,
    as_json: bool,
) -> None:
    """Print a report after each run, one JSON object a line; an interrupt or SIGTERM ends it after the run at hand."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for report in mill.watch(source, stop=stop, poll_s=interval, **arguments):
        if metrics is not None:
            _write_metrics(metrics, report.to_json())
        emit(report.to_json(), as_json=as_json, human=render.ingested)


def _together(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one report for several sources: counts and lists added up, the rest as after the last."""
    total = reports[0]
    for report in reports[1:]:
        for group in ("documents", "chunks", "stages"):
            if group in report:
                report[group] = {name: count + total[group][name] for name, count in report[group].items()}
        for name in ("seconds", "embed_seconds", "unreadable_by_anyone", "moved", "quarantine", "warnings"):
            if name in report:
                report[name] = total[name] + report[name]
        total = report
    return total


def _write_metrics(path: Path, report: Mapping[str, Any]) -> None:
    from service.telemetry import Metrics

    kept = Metrics()
    kept.ingested(report, name_collections=True)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        aside.write_bytes(kept.text())
        aside.replace(path)
    except OSError as error:
        raise ConfigError(f"the metrics cannot be written to {path}: {error.strerror}") from error


@quarantine.command("list")
def list_quarantine(collection: Collection, tenant: Tenant = None, home: Home = None, json: Json = False) -> None:
    """List what could not be indexed, and why."""
    with opened(home) as mill:
        entries = [entry.to_json() for entry in mill.quarantine(collection, tenant=tenant)]
    emit({"collection": collection, "quarantine": entries}, as_json=json, human=render.quarantined)


@quarantine.command("retry")
def retry_quarantine(
    collection: Collection,
    uris: Annotated[
        list[str] | None, typer.Argument(metavar="[URI]...", help="Those to try; all if none is given.")
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Try again to index what is in quarantine, though it has not changed. Exit code 1 if some of it still cannot be."""
    with opened(home) as mill, progress_bars() as progress:
        reports = mill.retry(collection, tenant=tenant, uris=uris or None, progress=progress)
        left = [entry.to_json() for entry in mill.quarantine(collection, tenant=tenant)]
    tried = {"collection": collection, "tried": len(reports), "quarantine": left}
    emit(tried, as_json=json, human=render.quarantined)
    if any(uris is None or not uris or entry["uri"] in uris for entry in left):
        raise typer.Exit(1)


def lineage(
    chunk_id: Annotated[str, typer.Argument(metavar="CHUNK_ID", help="As `search --json` shows it.")],
    collection: Annotated[str | None, typer.Option("--collection", metavar="C", help="Look in this one only.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Tell where a chunk comes from: document version, source item, parser, chunker, embedder, builds."""
    with opened(home) as mill:
        found = mill.lineage(chunk_id, collection=collection, tenant=tenant)
    if found is None:
        raise ConfigError(f"no chunk {chunk_id!r}; take the chunk_id of a hit, as `loremill search --json` shows it")
    emit(found, as_json=json, human=render.descended)
