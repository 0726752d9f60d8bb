"""`loremill eval`: is it good enough, measured over the same facade that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from service import render
from service.cli_dataset import dataset as dataset_commands
from service.console import As, Collection, Home, Json, Mode, Progress, Tenant, emit, opened, progress_bars

evaluation = typer.Typer(help="Measure retrieval and answers.", no_args_is_help=True)
evaluation.add_typer(dataset_commands, name="dataset")


@evaluation.command("retrieval")
def retrieval(
    collection: Collection,
    queries: Annotated[Path, typer.Option("--queries", metavar="Q.jsonl", help="BEIR queries.")],
    qrels: Annotated[Path, typer.Option("--qrels", metavar="R.tsv", help="BEIR judgements.")],
    as_: As,
    mode: Mode = "hybrid",
    run_out: Annotated[
        Path | None, typer.Option("--run-out", metavar="run.trec", help="Also write the run as TREC does.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Search every judged query and print nDCG, recall and the other measures."""
    from eval.retrieval import evaluate_retrieval

    with opened(home) as mill, progress_bars() as progress:
        report = evaluate_retrieval(
            mill,
            collection=collection,
            queries=queries,
            qrels=qrels,
            principal=mill.directory.resolve(as_),
            mode=mode,
            run_out=run_out,
            progress=_stage("queries", progress),
        )
    emit(report.to_json(), as_json=json, human=render.measured)


@evaluation.command("run")
def run(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.jsonl")],
    release: Annotated[str, typer.Option("--release", metavar="R", help="Id of a release, live or not.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the report and the answers go.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", metavar="DIR", help="The ingested folder, to check each answer for leaks against its acl.yaml."
        ),
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option("--canary", help="A phrase that only an answer obeying a planted instruction has."),
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask every question of a dataset as its principal and score the answers."""
    from eval.datasets import read_dataset
    from eval.oracle import read_oracle
    from eval.run import evaluate_answers

    samples = read_dataset(dataset)
    oracle = read_oracle(source) if source is not None else None
    with opened(home) as mill, progress_bars() as progress:
        asked = mill.release(release, tenant=tenant)
        report = evaluate_answers(
            mill,
            samples,
            collection=asked.collection,
            release=asked.id,
            resolve_principal=mill.directory.resolve,
            out=out,
            canaries=tuple(canary or ()),
            oracle=oracle,
            progress=_stage("questions", progress),
        )
    emit(report.to_json(), as_json=json, human=render.measured)


@evaluation.command("trend")
def trend(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that gates wrote to, at any depth.")],
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also draw it as a page.")] = None,
    home: Home = None,  # every command takes it
    json: Json = False,
) -> None:
    """Show past gates by time: the verdict and each metric's value in the candidate."""
    from eval.trend import read_trend

    found = read_trend(folders)
    if html is not None:
        from eval.reports.trend_page import trend_html
        from eval.reports.write import write_files

        write_files(html.parent, {html.name: trend_html(found)})
    emit(found.to_json(), as_json=json, human=render.trend)


@evaluation.command("gate")
def gate(
    candidate: Annotated[str, typer.Option("--candidate", metavar="R", help="Id of the release to be judged.")],
    dataset: Annotated[Path, typer.Option("--dataset", metavar="D.jsonl", help="The questions.")],
    gates: Annotated[Path, typer.Option("--gates", metavar="gates.yaml", help="What the candidate must hold.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the reports go.")],
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="R", help="Id of the release it is compared with, or live.")
    ] = "live",
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="C", help="Where several collections have such a release.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="The ingested folder, to check for leaks against its acl.yaml."),
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            "--canary",
            help='A phrase that only an answer obeying a planted instruction has; or "canaries" in the dataset.',
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=64, help="Questions under way at once.")] = 1,
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=20, help="How often a judge is asked.")] = 1,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare a candidate with what is live. Exit code 0 PASS, 1 FAIL, 2 INCONCLUSIVE; only PASS promotes."""
    from eval.gate_command import gate_releases

    with opened(home, cache_entries=0) as mill, progress_bars() as progress:
        result = gate_releases(
            mill, candidate, baseline, dataset=dataset, gates=gates, out=out, collection=collection, tenant=tenant,
            source=source, canaries=canary or (), concurrency=concurrency, repeats=repeats, progress=_stage("questions", progress),
        )  # fmt: skip
    emit(result.to_json(), as_json=json, human=render.gate)
    raise typer.Exit(result.result.exit_code)


@evaluation.command("memory")
def memory(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="LoCoMo or LongMemEval (.json), or an agents' log (.jsonl).")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.json, report.md and questions.jsonl there."),
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers/--no-answers", help="Also answer each question; half a second each.")
    ] = True,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="Remember there, and keep it; else in a home that is removed."),
    ] = None,
    json: Json = False,
) -> None:
    """Remember a file's conversations, ask what it asks about them, and measure what is recalled and answered."""
    from tempfile import TemporaryDirectory

    from eval.conversations import read_conversations
    from eval.memory import evaluate_memory
    from eval.memory_answers import MemoryAnswerer
    from eval.memory_report import report, written

    conversations = read_conversations(file)
    with TemporaryDirectory(prefix="loremill-") as fresh, opened(home or Path(fresh)) as mill, progress_bars() as bars:
        run = evaluate_memory(
            mill, conversations, answerer=MemoryAnswerer(mill.embedder) if answers else None, progress=bars
        )
    if out is not None:
        written(run, out, name=file.name)
    emit(report(run, name=file.name), as_json=json, human=render.memory_measured)


def _stage(name: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
