"""`loremill eval dataset`: the questions that the gate rests on: are they fit for use, make some, keep what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexes.errors import ConfigError
from service import render
from service.console import As, Collection, Home, Json, Tenant, emit, opened

if TYPE_CHECKING:
    from eval.synthesize import Write
    from rag.loremill import Loremill

dataset = typer.Typer(help="Check and make evaluation datasets.", no_args_is_help=True)
Out = Annotated[Path, typer.Option("--out", metavar="DATASET.jsonl", help="Where the questions go; a new file.")]


@dataset.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(metavar="DATASET.jsonl")],
    collection: Annotated[
        str | None,
        typer.Option("--collection", metavar="C", help="Also check principals, documents and quotes against it."),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="A gate will rest on it: ask for principals and references.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """List every problem of a dataset with its line. Exit code 1 if there are any."""
    from eval.dataset_check import check_dataset
    from eval.shelf import Shelf

    if collection is None:
        found = check_dataset(file, gate=gate)
    else:
        with opened(home) as mill:
            found = check_dataset(file, gate=gate, shelf=Shelf(mill, collection, mill.directory.resolve))
    emit(found.to_json(), as_json=json, human=render.checked_dataset)
    if not found.ok:
        raise typer.Exit(1)


@dataset.command("synthesize")
def synthesize(
    collection: Collection,
    as_: As,
    out: Out,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, help="Most questions wanted.")] = 50,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same questions.")] = 0,
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator", metavar="openai|gguf", help="A model writes the questions; what it gets wrong the rules do."
        ),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make questions from what a principal may read, each with the sentence that answers it."""
    from eval.datasets import Dataset, write_dataset
    from eval.shelf import Shelf
    from eval.synthesize import synthesize as made_of

    _refuse_to_overwrite(out)
    with opened(home) as mill:
        principal = mill.directory.resolve(as_)
        texts = Shelf(mill, collection, mill.directory.resolve).texts(principal=principal)
        made = made_of(texts, principal=as_, count=count, seed=seed, write=_writer(mill, generator))
    if not made.samples:
        raise ConfigError(
            f"nothing to ask: {as_} may read no sentence of collection {collection!r} that a question can be made of"
        )
    write_dataset(out, made.samples)
    written = Dataset(out.stem, made.samples)
    summary = {"dataset": str(written), "questions": len(written), "refused": made.refused, "out": str(out)}
    emit(summary, as_json=json, human=render.fields)


@dataset.command("from-feedback")
def from_feedback(
    out: Out,
    ratings: Annotated[
        Path | None, typer.Argument(metavar="[RATINGS.jsonl]", help="Answers as JSON, with principal and rating.")
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", metavar="C", help="The ratings that the home keeps of C, not a file's."),
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Turn bad ratings into regression cases; a question whose last rating is good makes none."""
    from eval.datasets import Dataset, write_dataset
    from eval.feedback import read_feedback, stored_feedback

    _refuse_to_overwrite(out)
    if (ratings is None) == (collection is None):
        raise ConfigError("name either a file of ratings or --collection")
    if ratings is not None:
        found = read_feedback(ratings)
    else:
        with opened(home) as mill:
            found = stored_feedback(mill, str(collection), tenant=tenant)
    write_dataset(out, found.samples)
    emit(
        {"dataset": str(Dataset(out.stem, found.samples)), **found.to_json(), "out": str(out)},
        as_json=json,
        human=render.fields,
    )


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"{out} is there already: name a new file, so that no dataset changes under a gate's record")


def _writer(mill: Loremill, generator: str | None) -> Write | None:
    """Return what asks the model, or None where the rules alone make the questions."""
    if generator in (None, "extractive"):
        return None
    from rag.generate import draft, make_generator
    from rag.prompts import Prompt

    model = make_generator(str(generator), mill.settings)
    return lambda messages: draft(model, Prompt(tuple(dict(one) for one in messages)), max_tokens=200).text
