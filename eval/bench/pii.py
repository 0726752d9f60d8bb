"""Personal data: precision and recall by type on labelled sentences.

    python -m eval.bench.pii --data ../shared/data/pii

The file is of presidio-research's form: a list of `{"full_text", "spans": [{"entity_type", "start_position",
"end_position"}]}`. A find is right if it overlaps a label of its type by at least one character, and a label is recalled
if a find of its type overlaps it; `exact` is the share of labels that are found with the same start and end. All types of
TYPES are looked for, at the default threshold; a type that nothing looks for is listed without a score.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.bench.home import need, parser
from eval.report import table
from indexes.errors import DatasetError
from ingest.pii import TYPES, find

FILE = "synth_dataset_v2.json"
SAME = {"DOMAIN_NAME": "URL"}
"""Labels that are another name of one of our types: the set's domain names are URLs."""

Labels = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with its labels: type, start, end."""

    text: str
    spans: Labels


@dataclass(slots=True)
class Counts:
    """Labels and finds of one type, how many of each meet one of the other, and how many labels are found exactly."""

    labelled: int = 0
    recalled: int = 0
    exact: int = 0
    found: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Finds that meet a label, in [0, 1]; 0 where there are none."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Labels that a find meets, in [0, 1]; 0 where there are none."""
        return self.recalled / self.labelled if self.labelled else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two, in [0, 1]."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def read(path: Path) -> list[Labelled]:
    """Read a file of presidio-research's form; DatasetError if it is of another."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Labelled(row["full_text"], tuple(_label(span) for span in row["spans"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"not a list of full_text and spans: {error!r}", path=str(path)) from error


def score(rows: Iterable[Labelled]) -> dict[str, Counts]:
    """Return the counts by type, of all types that are labelled or found."""
    counts: dict[str, Counts] = defaultdict(Counts)
    for row in rows:
        finds = tuple((span.type, span.start, span.end) for span in find(row.text))
        for label in row.spans:
            counts[label[0]].labelled += 1
            counts[label[0]].recalled += _meets(label, finds)
            counts[label[0]].exact += label in finds
        for span in finds:
            counts[span[0]].found += 1
            counts[span[0]].right += _meets(span, row.spans)
    return dict(counts)


def _label(span: dict[str, Any]) -> tuple[str, int, int]:
    type = span["entity_type"]
    return SAME.get(type, type), span["start_position"], span["end_position"]


def _meets(span: tuple[str, int, int], others: Sequence[tuple[str, int, int]]) -> bool:
    type, start, end = span
    return any(other == type and at < end and start < until for other, at, until in others)


def main() -> None:
    given = parser(__doc__, data="../shared/data/pii").parse_args()
    need(given.data, FILE)
    rows = read(given.data / FILE)
    start = time.process_time()
    counts = score(rows)
    seconds = time.process_time() - start
    columns = ("type", "labelled", "found", "precision", "recall", "F1", "exact")
    lines = [
        (type, c.labelled, c.found, c.precision, c.recall, c.f1, c.exact / max(c.labelled, 1))
        for type, c in sorted(counts.items(), key=lambda entry: (-entry[1].labelled, entry[0]))
        if type in TYPES
    ]
    print(table(columns, lines))
    missing = sorted((type for type in counts if type not in TYPES), key=lambda type: -counts[type].labelled)
    print("not looked for: " + ", ".join(f"{type} ({counts[type].labelled})" for type in missing))
    characters = sum(len(row.text) for row in rows)
    print(
        f"{len(rows)} texts, {characters} characters, {1e6 * seconds / characters:.2f} ms of CPU for 1,000 characters"
    )


if __name__ == "__main__":
    main()
