"""`loremill audit leaks`: the differential leak audit, in a home of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from indexes.errors import ConfigError
from service import render
from service.console import Home, Json, Tenant, emit, opened, progress_bars

if TYPE_CHECKING:
    from eval.audit import LeakAudit, Material

_CHUNK_TOKENS = 64
"""Short chunks, so that short documents have several."""


def leaks(
    trials: Annotated[int, typer.Option("--trials", min=1, help="Requests to make.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same requests.")] = 0,
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="C", help="Take texts and rights from this collection.")
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option("--documents", metavar="FOLDER", help="Take texts, and rights of acl.yaml, from here."),
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Try to make something leak: random histories through every door, each result compared with a brute-force world.

    It runs in a temporary home; yours is only read. Exit code 1 if anything leaked, was missing or broke.
    """
    material = _material(collection, documents, tenant, home)
    with TemporaryDirectory(prefix="loremill-audit-") as aside, progress_bars() as bars:
        audit = _audited(
            Path(aside), material, trials, seed,
            progress=_lines if bars is None else lambda done, total: bars("trials", done, total),
        )  # fmt: skip
    emit(audit.to_json(), as_json=json, human=render.leak_audit)
    if not audit.ok:
        raise typer.Exit(1)


def _audited(
    aside: Path, material: Material, trials: int, seed: int, *, progress: Callable[[int, int], None]
) -> LeakAudit:
    """Audit a mill in the folder `aside`, by every door that this installation has."""
    from eval.audit import DOORS, MODEL_DOORS, PARROT, audit_leaks, parrot
    from rag.loremill import Loremill
    from service.audit_doors import http_doors

    settings = {"chunk_tokens": _CHUNK_TOKENS, "generator": "extractive", **PARROT}
    with parrot() as url, Loremill.open(aside / "home", openai_base_url=url, **settings) as mill:
        doors = {**DOORS, **http_doors(mill)}
        if find_spec("openai"):
            doors |= MODEL_DOORS
        else:
            print("the doors of models are left out: they need loremill[openai]", file=sys.stderr)
        return audit_leaks(
            mill,
            folder=aside / "documents",
            trials=trials,
            seed=seed,
            material=material,
            doors=doors,
            progress=progress,
        )


def _material(collection: str | None, documents: Path | None, tenant: str | None, home: Path | None) -> Material:
    from eval.audit import generated_material, material_of_collection, material_of_folder

    if collection is not None and documents is not None:
        raise ConfigError("give either --collection or --documents, not both")
    if documents is not None:
        return material_of_folder(documents)
    if collection is not None:
        with opened(home) as mill:
            return material_of_collection(mill, collection, tenant=tenant)
    return generated_material()


def _lines(done: int, total: int) -> None:
    """Say on stderr, now and then, how far it is: a log has no bars."""
    if done == total or done % 1000 == 0:
        print(f"{done} of {total} trials", file=sys.stderr)
