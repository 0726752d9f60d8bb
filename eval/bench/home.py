"""What the benchmarks share: a home that lasts as long as asked, progress on stderr, the arguments."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

TENANT = "bench"
READER = Principal(TENANT, "user:reader")


def parser(description: str | None, *, data: str) -> argparse.ArgumentParser:
    """Return a parser with `--data` and `--home`."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(data), help=f"folder with the data (default {data})")
    arguments.add_argument("--home", type=Path, help="keep the index here and reuse it (default: a temporary folder)")
    return arguments


@contextmanager
def open_home(home: Path | None) -> Iterator[Loremill]:
    """Open a mill in `home`, or in a temporary folder that goes with it."""
    from rag.loremill import Loremill

    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as temporary, Loremill.open(home or temporary) as mill:
        yield mill


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Serve the home in a process of its own; yields the base URL."""
    command = [sys.executable, "-m", "service.cli", "serve", "--home", str(home), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()


def progress(done: int, total: int) -> None:
    """Show a count on stderr, at most a hundred times."""
    if done == total or done % max(total // 100, 1) == 0:
        print(f"\r{done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def need(folder: Path, *names: str) -> None:
    """Exit with status 65 and a sentence if a file of the data is not there."""
    for name in names:
        if not (folder / name).is_file():
            print(f"no such file: {folder / name}; name the folder with --data", file=sys.stderr)
            raise SystemExit(65)
