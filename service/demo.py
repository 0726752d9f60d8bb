"""`make demo`: the sample company ingested, then the same questions asked by different people.

python -m service.demo [--home .demo]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.loremill import Loremill

COMPANY = Path("data/company")
COLLECTION = "company"


@dataclass(frozen=True, slots=True)
class Scene:
    """One question, asked by one or more people."""

    heading: str
    question: str
    people: tuple[str, ...]


SCENES = (
    Scene("A question that everyone may ask", "How long is parental leave at full pay?", ("ivan",)),
    Scene(
        "One answer for a member of the group, none and no hint for another",
        "What commission rate is paid on orders above the quota?",
        ("bob", "carol"),
    ),
    Scene("A question that no document answers", "What does lunch cost in the canteen in Brno?", ("alice",)),
    Scene(
        "The best document carries instructions planted for the model",
        "For how long is the Beacon password reset link valid?",
        ("judy",),
    ),
)


def show(scene: Scene, mill: Loremill) -> None:
    """Print the scene's answers, each under the name of who asked."""
    print(f"\n== {scene.heading}")
    for person in scene.people:
        answer = mill.ask(scene.question, collection=COLLECTION, principal=mill.directory.resolve(person))
        print(f"\n{person} asks: {scene.question}")
        print_answer(answer)


def print_answer(answer: Answer) -> None:
    """Print an answer and the documents it cites."""
    print(f"  {answer.answer}")
    for citation in answer.citations:
        print(f"    [{citation.marker}] {citation.document_id}, characters {citation.start}-{citation.end}")
    print(f"  ({answer.timings_ms['total']:.0f} ms)")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return 0; errors are the facade's."""
    from rag import Loremill

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default=".demo", help="where the index is kept; a second run finds it there")
    options = parser.parse_args(arguments)
    if not COMPANY.is_dir():
        print(f"{COMPANY} is not here: run the demo from the repository's root", file=sys.stderr)
        return 65
    started = time.perf_counter()
    with Loremill.open(options.home) as mill:
        print(f"Ingesting {COMPANY} ...", flush=True)
        report = mill.ingest(COMPANY, collection=COLLECTION)
        mill.directory.import_principals(COMPANY / "principals.yaml")
        counts = report.documents
        print(
            f"{counts.added} added, {counts.updated} updated, {counts.unchanged} unchanged, {counts.deleted} deleted, "
            f"{counts.quarantined} quarantined; {report.chunks.added} chunks added; {report.seconds:.1f} s"
        )
        for scene in SCENES:
            show(scene, mill)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nDone in {time.perf_counter() - started:.1f} s, peak memory {peak:.0f} MiB.")
    print(
        f"Next: .venv/bin/loremill ask 'How many vacation days do I get?' --collection company --as alice --home {options.home}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
