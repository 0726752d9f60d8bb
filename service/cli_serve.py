"""`loremill serve` and `loremill doctor`: the HTTP server, and what a home needs to work."""

from __future__ import annotations

from typing import Annotated

import typer

from indexes.errors import DependencyMissing
from service import render
from service.console import Home, Json, emit, opened


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    home: Home = None,
    json: Json = False,
) -> None:
    """Serve the home over HTTP until interrupted. Prints the address once it listens."""
    try:
        from service.server import run_server
    except ImportError as error:
        raise DependencyMissing(error.name or "fastapi", extra="service") from error

    with opened(home) as mill:
        run_server(mill, host=host, port=port, ready=lambda url: emit({"url": url}, as_json=json, human=render.serving))


def doctor(home: Home = None, json: Json = False) -> None:
    """Check the installation: home, embedder, device and optional parts. Exit code 1 if a needed one is at fault."""
    from service.doctor import examine

    checks = examine(home)
    healthy = all(check.ok or check.optional for check in checks)
    emit({"ok": healthy, "checks": [check.to_json() for check in checks]}, as_json=json, human=render.examined)
    if not healthy:
        raise typer.Exit(1)
