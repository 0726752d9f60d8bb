"""What every command shares: its two options, the open home, one way out for results and one for errors."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rag.loremill import Loremill

USAGE = 64
INTERNAL = 70
INTERRUPTED = 130
PIPE_CLOSED = 141

Home = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="Where Loremill keeps its state.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; logs and progress go to stderr.")]
Collection = Annotated[str, typer.Option("--collection", metavar="C", help="The collection's name.")]
As = Annotated[
    str, typer.Option("--as", metavar="PRINCIPAL", help="A name from principals.yaml, or tenant/user:x,group:y.")
]
Mode = Annotated[str, typer.Option("--mode", metavar="hybrid|dense|lexical", help="How to search.")]
Release = Annotated[
    str | None, typer.Option("--release", metavar="R", help="Ask this release in place of the live one.")
]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="T", help="The tenant, where the file does not say.")]

Progress = Callable[[str, int, int | None], None]


@contextmanager
def opened(home: Path | None, **settings: Any) -> Iterator[Loremill]:
    """Open the mill of `home`, or of the settings' home, for one command; `settings` stand above those of the home."""
    from rag.auditing import Caller, caller
    from rag.loremill import Loremill

    before = caller.set(Caller("cli"))
    try:
        with Loremill.open(home, **settings) as mill:
            yield mill
    finally:
        caller.reset(before)


def emit(data: Mapping[str, Any], *, as_json: bool, human: Callable[[Mapping[str, Any]], RenderableType]) -> None:
    """Print the result: as one JSON object, or as `human` draws it. A reader that left ends the command quietly."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, default=str) + "\n" if as_json else _drawn(human(data))
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes once more at exit
        raise typer.Exit(PIPE_CLOSED) from None


def _write(stream: Any, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _drawn(picture: RenderableType) -> str:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    with console.capture() as capture:
        console.print(picture)
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))  # rich pads lines to the width


def report_error(kind: str, title: str, detail: str, *, as_json: bool) -> None:
    """Tell of an error: for people on stderr and, with `--json`, as one object on stdout too."""
    _write(sys.stderr, f"loremill: {detail}\n")
    if as_json:
        problem = {"error": {"type": kind, "title": title, "detail": detail}}
        _write(sys.stdout, json.dumps(problem, ensure_ascii=False) + "\n")


@contextmanager
def progress_bars() -> Iterator[Progress | None]:
    """Show one bar for each stage on stderr; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def unicode_text(value: str) -> str:
    """Refuse text that came in as bytes which are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the text is not valid UTF-8") from None
    return value


def split_list(values: list[str] | None) -> list[str] | None:
    """Read an option that may be repeated or hold commas; None where it was not given."""
    if values is None:
        return None
    return [part.strip() for value in values for part in value.split(",") if part.strip()]
