"""SciFact through the served search: nDCG@10 and recall of dense, lexical and hybrid search.

    python -m eval.bench.scifact --data ../shared/data/scifact

Source: Wadden et al., arXiv:2004.14974, in the form of BEIR (Thakur et al., arXiv:2104.08663).
"""

from __future__ import annotations

from pathlib import Path

from eval.bench.home import READER, TENANT, need, open_home, parser, progress
from eval.report import table
from eval.retrieval import RetrievalReport, evaluate_retrieval

MODES = ("dense", "lexical", "hybrid")


def measure(data: Path, *, split: str = "test", home: Path | None = None) -> list[RetrievalReport]:
    """Ingest `data`/corpus.jsonl and evaluate each mode on the judged queries of `split`."""
    with open_home(home) as mill:
        mill.ingest(data, collection="scifact", tenant=TENANT, allow=["everyone"], format="beir")
        return [
            evaluate_retrieval(
                mill,
                collection="scifact",
                queries=data / "queries.jsonl",
                qrels=data / "qrels" / f"{split}.tsv",
                principal=READER,
                mode=mode,
                progress=progress,
            )
            for mode in MODES
        ]


def main() -> None:
    arguments = parser(__doc__, data="../shared/data/scifact")
    arguments.add_argument("--split", choices=("test", "train"), default="test")
    given = arguments.parse_args()
    need(given.data, "corpus.jsonl", "queries.jsonl", f"qrels/{given.split}.tsv")
    reports = measure(given.data, split=given.split, home=given.home)
    rows = [(report.mode, *report.means.values()) for report in reports]
    print(f"SciFact, {given.split}, {reports[0].n_queries} queries\n")
    print(table(("mode", *reports[0].means), rows))


if __name__ == "__main__":
    main()
