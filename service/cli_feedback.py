"""`loremill feedback`: what people thought of answers."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from indexes.errors import ConfigError, DatasetError
from service import render
from service.console import As, Collection, Home, Json, emit, opened

feedback = typer.Typer(help="Rate answers, and read ratings.", no_args_is_help=True)


@feedback.command("add")
def add(
    answer: Annotated[
        Path, typer.Argument(metavar="ANSWER.json", help="What `loremill ask --json` printed; - reads it from stdin.")
    ],
    collection: Collection,
    as_: As,
    rating: Annotated[str, typer.Option("--rating", metavar="up|down|1-5", help="5 is best.")],
    comment: Annotated[str, typer.Option("--comment", help="What is wrong with it, or right.")] = "",
    correction: Annotated[str, typer.Option("--correction", metavar="TEXT", help="What the right answer is.")] = "",
    document: Annotated[
        list[str] | None, typer.Option("--document", metavar="ID", help="Where the right answer stands; repeatable.")
    ] = None,
    unanswerable: Annotated[bool, typer.Option("--unanswerable", help="The right answer is to abstain.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Rate an answer as the principal that got it."""
    told = _answer(answer)
    with opened(home) as mill:
        made = mill.feedback(
            told, collection=collection, principal=mill.directory.resolve(as_), rating=rating, comment=comment,
            correction=correction, correct_document_ids=document or (), answerable=False if unanswerable else None,
        )  # fmt: skip
    emit(made.to_json(), as_json=json, human=render.fields)


@feedback.command("list")
def list_ratings(
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="C", help="Of this collection alone.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="PRINCIPAL", help="This one's own; without it, all of --collection.")
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="T", help="Whose collection it is.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List ratings, the oldest first."""
    if as_ is None and collection is None:
        raise ConfigError("name --collection, --as or both")
    with opened(home) as mill:
        if as_ is None:
            found = list(mill.every_rating(str(collection), tenant=tenant))
        else:
            principal = mill.directory.resolve(as_)
            found = list(mill.ratings(principal=principal, collection=collection, limit=sys.maxsize >> 1))
    emit({"ratings": [one.to_json() for one in found]}, as_json=json, human=render.ratings)


@feedback.command("delete")
def delete(
    rating: Annotated[str, typer.Argument(metavar="ID")], as_: As, home: Home = None, json: Json = False
) -> None:
    """Delete a rating that the principal gave."""
    with opened(home) as mill:
        if not mill.delete_rating(rating, principal=mill.directory.resolve(as_)):
            raise ConfigError(f"{as_} gave no rating with the id {rating!r}; see: loremill feedback list --as {as_}")
    emit({"id": rating, "deleted": True}, as_json=json, human=render.fields)


def _answer(path: Path) -> dict[str, Any]:
    """Read the JSON of one answer.

    Raises:
        DatasetError: the file cannot be read, or holds no JSON object.
    """
    try:
        data = json_module.loads(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"not JSON: {error}", path=str(path)) from error
    if not isinstance(data, dict):
        raise DatasetError(f"expected a JSON object, got {type(data).__name__}", path=str(path))
    return data
