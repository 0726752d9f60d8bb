"""The command line: `loremill COMMAND ...`. Thin: a command reads its options, calls the facade and prints the result.

Exit codes: 0 done, 1 the answer is no, 64 usage, 65 bad input data, 70 internal; 130 interrupted, 141 our reader left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from indexes.errors import LoremillError
from service import (
    cli_acl,
    cli_admin,
    cli_audit,
    cli_erase,
    cli_eval,
    cli_feedback,
    cli_ingest,
    cli_mcp,
    cli_memory,
    cli_release,
    cli_serve,
    render,
)
from service.console import (
    INTERNAL,
    INTERRUPTED,
    USAGE,
    As,
    Collection,
    Home,
    Json,
    Mode,
    Release,
    Tenant,
    emit,
    opened,
    report_error,
    unicode_text,
)
from service.where_option import parse_where

app = typer.Typer(
    name="loremill",
    help="Turn an organisation's documents into grounded, access-filtered answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.command("ingest")(cli_ingest.ingest)


@app.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", callback=unicode_text)],
    collection: Collection,
    as_: As,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Most hits wanted.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="k=v", help="Metadata that hits must have: k>=v, 'k in a,b', JSON, ..."),
    ] = None,
    mode: Mode = "hybrid",
    release: Release = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Find the passages that a principal may read and that match best."""
    wanted = parse_where(where)
    with opened(home) as mill:
        principal = mill.directory.resolve(as_)
        result = mill.search_result(
            query, collection=collection, principal=principal, top_k=top_k, mode=mode, where=wanted, release=release
        )
    emit(result.to_json(whole_plan=True), as_json=json, human=render.found)  # who has the home may read all of it


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", callback=unicode_text)],
    collection: Collection,
    as_: As,
    generator: Annotated[
        str | None, typer.Option("--generator", metavar="NAME", help="extractive, openai or gguf.")
    ] = None,
    release: Release = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Answer a question from what a principal may read, with a citation for each sentence, or abstain."""
    with opened(home) as mill:
        principal = mill.directory.resolve(as_)
        answer = mill.ask(question, collection=collection, principal=principal, generator=generator, release=release)
    emit(answer.to_json(), as_json=json, human=render.answered)


@app.command()
def verify(
    collection: Collection,
    skip_sources: Annotated[
        bool, typer.Option("--skip-sources", help="Check what is stored only, not whether it is what the sources hold.")
    ] = False,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check that sources, catalog, chunks, vectors and postings of a collection agree. Exit code 1 if they do not."""
    with opened(home) as mill:
        report = mill.verify(collection, tenant=tenant, sources=not skip_sources)
    emit(report.to_json(), as_json=json, human=render.verified)
    if not report.ok:
        raise typer.Exit(1)


app.command("explain")(cli_acl.explain)
app.command("lineage")(cli_ingest.lineage)
app.add_typer(cli_ingest.quarantine, name="quarantine")
app.add_typer(cli_admin.principals, name="principals")
app.add_typer(cli_admin.keys, name="keys")
app.add_typer(cli_acl.acl, name="acl")
app.add_typer(cli_release.release, name="release")
app.add_typer(cli_memory.memory, name="memory")
app.add_typer(cli_audit.audit, name="audit")
app.add_typer(cli_erase.erase, name="erase")
app.add_typer(cli_eval.evaluation, name="eval")
app.add_typer(cli_feedback.feedback, name="feedback")
app.command("serve")(cli_serve.serve)
app.command("mcp")(cli_mcp.mcp)
app.command("doctor")(cli_serve.doctor)


@cache
def _command() -> Any:
    """Return all commands as one; made once, since that takes longer than most commands."""
    return typer.main.get_command(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Nothing but the debug switch lets a traceback out."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in options
    try:
        code = _command()(arguments, prog_name="loremill", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        detail = error.format_message() or "give a command"
        report_error("UsageError", "Usage", f"{detail} (see loremill --help)", as_json=as_json)
        return USAGE
    except LoremillError as error:
        _debug(error)
        report_error(type(error).__name__, error.title, str(error), as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # the last line of defence: a defect becomes one line and exit code 70
        _debug(error)
        detail = f"{type(error).__name__}: {error} (LOREMILL_DEBUG=1 shows where)"
        report_error("InternalError", LoremillError.title, detail, as_json=as_json)
        return INTERNAL


def _debug(error: Exception) -> None:
    if os.environ.get("LOREMILL_DEBUG") == "1":
        raise error


if __name__ == "__main__":
    sys.exit(main())
