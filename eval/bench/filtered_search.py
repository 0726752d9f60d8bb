"""Filtered search: recall@10 and latency by how much one may read and whether rights follow topics, for several engines in one run.

    python -m eval.bench.filtered_search [--rows 200000] [--engines loremill,exact,faiss,qdrant] [--json FILE] [--plot FILE.svg]
    LOREMILL_EMBEDDER=minilm-fast python -m eval.bench.filtered_search --real ../shared/data --vectors FOLDER

Each point: a number of people with a share of the classes, each asking some queries, one at a time on one thread. An engine with a beam
width is tried at several; what counts is the fastest that reaches recall .99, or the one of best recall where none does. Times are
milliseconds of one query in a warm process, the first of each person apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.bench.filtered.engines import TOP_K, Engine, Exact, FaissGraph, Loremill, QdrantEdge, Rows
from eval.bench.filtered.world import SHARES, Asked, Rights, World, clustered_world
from eval.report import table
from indexes.product_codes import faiss_module

GOOD = 0.99
FILTERED_SHARES = (0.05, 0.3)


@dataclass(frozen=True, slots=True)
class Point:
    """One engine at one point. `worst` is the mean recall of the worst 1 % of the queries; `short` counts answers with too few rows."""

    rows: int
    rights: str
    share: float
    filtered: bool
    engine: str
    setting: str
    recall: float
    worst: float
    p50: float
    p95: float
    first: float
    short: int


def measure(
    engine: Engine, rights: Rights, share: float, asked: list[Asked], truth: list[list[Rows]], n_rows: int
) -> Point:
    """Climb each of the engine's ladders of settings until recall is good, and return the point that counts."""
    tried: list[Point] = []
    for ladder in engine.ladders(share):
        for setting in ladder:
            tried.append(_at(engine, setting, rights, share, asked, truth, n_rows))
            if tried[-1].recall >= GOOD:
                break
    good = [point for point in tried if point.recall >= GOOD]
    return min(good, key=lambda point: point.p50) if good else max(tried, key=lambda point: point.recall)


def _at(
    engine: Engine,
    setting: Mapping[str, Any],
    rights: Rights,
    share: float,
    asked: list[Asked],
    truth: list[list[Rows]],
    n_rows: int,
) -> Point:
    recalls, times, firsts, short = [], [], [], 0
    for person, true_rows in zip(asked, truth, strict=True):
        prepared = engine.prepare(rights, person)
        started = time.perf_counter()
        engine.search(prepared, person.queries[0], setting)
        firsts.append(time.perf_counter() - started)
        for query, wanted in zip(person.queries, true_rows, strict=True):
            started = time.perf_counter()
            found = engine.search(prepared, query, setting)
            times.append(time.perf_counter() - started)
            found = found[found >= 0]
            short += len(found) < len(wanted)
            recalls.append(len(np.intersect1d(found, wanted)) / len(wanted))
    lowest = np.sort(recalls)[: max(1, len(recalls) // 100)]
    return Point(
        rows=n_rows,
        rights=str(rights),
        share=share,
        filtered=asked[0].where is not None,
        engine=engine.name,
        setting=" ".join(f"{name} {value}" for name, value in setting.items() if value is not False),
        recall=round(float(np.mean(recalls)), 4),
        worst=round(float(lowest.mean()), 3),
        p50=_ms(times, 0.5),
        p95=_ms(times, 0.95),
        first=_ms(firsts, 0.5),
        short=short,
    )


def _ms(seconds: list[float], quantile: float) -> float:
    return round(1e3 * float(np.quantile(seconds, quantile)), 3)


def run(world: World, engines: list[Engine], loremill: Loremill, *, people: int, each: int) -> list[Point]:
    """Measure every engine at every point."""
    wanted = [(rights, share, False) for rights in Rights for share in SHARES]
    wanted += [(rights, share, True) for rights in Rights for share in FILTERED_SHARES]
    points = []
    for rights, share, filtered in wanted:
        asked = list(world.asked(rights, share, people=people, each=each, filtered=filtered))
        index = loremill.index(rights)
        truth = [
            [found.rows for found in index.exact(person.queries, top_k=TOP_K, access=person.access, where=person.where)]
            for person in asked
        ]
        for engine in engines:
            points.append(measure(engine, rights, share, asked, truth, len(world.rows)))
            print(json.dumps(asdict(points[-1])), flush=True)
    return points


def report(points: list[Point], engines: list[Engine]) -> str:
    """Return a row for each point: recall / worst percent / p50 of each engine."""
    names = [engine.name for engine in engines]
    by_place: dict[tuple[str, float, bool], dict[str, Point]] = {}
    for point in points:
        by_place.setdefault((point.rights, point.share, point.filtered), {})[point.engine] = point
    rows = []
    for (rights, share, filtered), found in by_place.items():
        cells = [
            f"{found[name].recall:.3f} / {found[name].worst:.2f} / {found[name].p50:.2f}"
            + (f" ({found[name].setting})" if found[name].setting else "")
            for name in names
        ]
        rows.append([rights + (", where" if filtered else ""), f"{share:.1%}", *cells])
    return table(["rights", "readable", *(f"{name}: recall / worst 1 % / p50 ms" for name in names)], rows)


def plot(points: list[Point], path: Path) -> None:
    """Draw p50 and recall over the share readable, a column for each kind of rights."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    plain = [point for point in points if not point.filtered]
    figure, axes = pyplot.subplots(2, len(Rights), sharex=True, sharey="row", figsize=(11, 6))
    for column, rights in enumerate(Rights):
        for engine in dict.fromkeys(point.engine for point in plain):
            here = [point for point in plain if point.rights == rights and point.engine == engine]
            shares = [100 * point.share for point in here]
            axes[0][column].plot(shares, [point.p50 for point in here], marker="o", label=engine)
            axes[1][column].plot(shares, [point.recall for point in here], marker="o", label=engine)
        axes[0][column].set(title=f"rights {rights}", xscale="log", yscale="log")
        axes[1][column].set(xlabel="readable, %", ylim=(0, 1.03))
        axes[1][column].axhline(GOOD, color="grey", linewidth=0.5)
    axes[0][0].set_ylabel("p50 of a query, ms")
    axes[1][0].set_ylabel("recall@10")
    axes[0][-1].legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--real", type=Path, metavar="DATA", help="real chunks of the sets in this folder instead")
    parser.add_argument("--vectors", type=Path, default=Path("vectors"), help="where their vectors are kept")
    parser.add_argument("--engines", default="loremill,exact,faiss,qdrant")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--each", type=int, default=25, help="queries of each person")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plot", type=Path, help="draw them here; needs matplotlib")
    arguments = parser.parse_args()
    world = _real(arguments.real, arguments.vectors) if arguments.real else clustered_world(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        loremill = Loremill(world, Path(folder))
        engines = list(_engines(arguments.engines.split(","), world, loremill, Path(folder)))
        _one_thread()
        points = run(world, engines, loremill, people=arguments.people, each=arguments.each)
    sizes = [
        [engine.name, f"{engine.build_s:.1f}", f"{engine.bytes_per_vector:.0f}",
         f"{engine.bytes_per_vector / (4 * world.rows.shape[1]):.2f}"]
        for engine in engines
    ]  # fmt: skip
    print(report(points, engines), f"opened in {loremill.open_s:.2f} s", sep="\n\n")
    print(table(["engine", "build s", "bytes a vector", "of float32"], sizes))
    if arguments.json:
        data = {"points": [asdict(point) for point in points], "engines": sizes, "open_s": loremill.open_s}
        arguments.json.write_text(json.dumps(data, indent=1), "utf-8")
    if arguments.plot:
        plot(points, arguments.plot)


def _engines(names: list[str], world: World, loremill: Loremill, folder: Path) -> Iterator[Engine]:
    for name in names:
        if name == "loremill":
            yield loremill
        elif name == "exact":
            yield Exact(loremill, world.rows.shape[1])
        elif name == "faiss":
            yield FaissGraph(world)
        elif name == "qdrant":
            yield QdrantEdge(world, folder / "qdrant")
        else:
            raise SystemExit(f"unknown engine {name!r}: loremill, exact, faiss, qdrant")


def _real(data: Path, kept: Path) -> World:
    from eval.bench.filtered.departments import organisation
    from indexes.embedder import make_embedder
    from indexes.settings import load_settings

    return organisation(data, make_embedder(load_settings(home=kept), home=kept), kept)


def _one_thread() -> None:
    from threadpoolctl import threadpool_limits

    faiss_module().omp_set_num_threads(1)
    threadpool_limits(1)


if __name__ == "__main__":
    main()
