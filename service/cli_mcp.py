"""`loremill mcp`: memory and documents as tools for an agent on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from indexes.errors import AccessDenied, ConfigError, DependencyMissing
from service.console import Home, Json, opened

if TYPE_CHECKING:
    from indexes.directory import Identity
    from rag.loremill import Loremill


def mcp(
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="PRINCIPAL", help="A name from principals.yaml, or tenant/user:x,group:y."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="SECRET", envvar="LOREMILL_KEY", show_default=False, help="An API key, in place of --as."
        ),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Serve MCP over standard input and output, for one agent that starts this command. `loremill serve` has it at /mcp, too.

    Standard output carries the protocol alone, with or without --json.
    """
    if (as_ is None) == (key is None):
        raise ConfigError("say who asks: either --as PRINCIPAL, or an API key in LOREMILL_KEY (or --key)")
    for package in ("mcp", "starlette"):
        if find_spec(package) is None:
            raise DependencyMissing(package, extra="service")
    from service.mcp import serve_stdio

    with opened(home) as mill:
        _who(mill, as_, key)  # a name or key that does not hold is told before the protocol begins
        serve_stdio(mill, lambda: _who(mill, as_, key))


def _who(mill: Loremill, name: str | None, key: str | None) -> Identity:
    """Return who asks at this moment. Raises AccessDenied where the name or key holds no more."""
    from indexes.directory import Identity, Role

    if key is None:
        assert name is not None
        return Identity(mill.directory.resolve(name), Role.READER, "")
    identity = mill.directory.authenticate(key.strip())
    if identity is None:
        raise AccessDenied(None, "the API key does not hold; see loremill keys list")
    return identity
