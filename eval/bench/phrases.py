"""Files of many formats, ingested for good: how each one ends, and whether the phrases it is known to hold are found by search.

    python -m eval.bench.phrases --data ../shared/data/documents --phrases tests/ingest/expected_phrases.yaml

A phrase counts as found if a hit among the first ten of a hybrid search for it comes from its file and holds it, letter by letter but
for blanks and marks of Markdown. Files of different names may hold the same text; then one of them may push another out of the ten.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path

import yaml

from eval.bench.home import READER, TENANT, open_home, parser
from eval.report import table

COLLECTION = "documents"


def plain(text: str) -> str:
    """Return the text's letters and digits, one blank between words."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def main() -> int:
    arguments = parser(__doc__, data="../shared/data/documents")
    arguments.add_argument("--phrases", type=Path, default=Path("tests/ingest/expected_phrases.yaml"))
    given = arguments.parse_args()
    expected: dict[str, list[str]] = yaml.safe_load(given.phrases.read_text("utf-8"))
    with open_home(given.home) as mill:
        started = time.perf_counter()
        report = mill.ingest(given.data, collection=COLLECTION, tenant=TENANT, allow=["everyone"])
        seconds = time.perf_counter() - started
        missed = []
        for name, phrases in expected.items():
            for phrase in phrases:
                hits = mill.search(phrase, collection=COLLECTION, principal=READER, top_k=10)
                own = [hit for hit in hits if hit.document_id.endswith(name) or f"{name}#" in hit.document_id]
                if not any(plain(phrase) in plain(f"{hit.title} {' '.join(hit.headings)} {hit.text}") for hit in own):
                    missed.append((name, phrase))
    total = sum(map(len, expected.values()))
    print(f"{seconds:.0f} s, stages {dict(report.stages)}\n")
    print(table(("outcome", "items"), report.to_json()["documents"].items()))
    print(table(("quarantined under", "items"), Counter(entry.error for entry in report.quarantine).items()))
    print(
        f"phrases found by search: {total - len(missed)}/{total} = {1 - len(missed) / total:.3f} of {len(expected)} files"
    )
    for name, phrase in missed:
        print(f"  not found: {name}: {phrase}")
    return 0 if len(missed) <= 0.03 * total else 1


if __name__ == "__main__":
    sys.exit(main())
