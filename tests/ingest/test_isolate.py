"""Parsing in worker processes: limits hold for all that a worker starts, and no worker is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import ParseError, TimedOut, TooLarge
from ingest import isolate
from ingest.isolate import parse_isolated
from ingest.parse import parse
from tests.ingest.hostile import zipped


@pytest.fixture
def fresh_workers() -> Iterator[None]:
    """No worker from an earlier test, none for a later one."""
    isolate.close_workers()
    yield
    isolate.close_workers()


def is_running(pid: int) -> bool:
    """A zombie that nobody has fetched yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_the_worker_gives_what_the_parser_gives_and_is_used_again() -> None:
    page = "<h1>Tïtle</h1><p>Text</p>".encode()
    first = parse_isolated(page, uri="x.html", timeout_s=60)
    worker = isolate._idle[-1].process.pid
    assert first == parse_isolated(page, uri="x.html", timeout_s=60) == parse(page, uri="x.html")
    assert isolate._idle[-1].process.pid == worker


def test_attachments_come_back_byte_for_byte() -> None:
    members = {"a.bin": bytes(range(256)) * 5_000, "b/ü.txt": b"text\n{}", "empty.txt": b""}
    parsed = parse_isolated(zipped(members), uri="x.zip", timeout_s=60)
    assert {entry.name: entry.data for entry in parsed.attachments} == members
    assert (parsed.text, parsed.format) == ("", "zip")


def test_an_error_of_the_worker_keeps_its_class_and_text() -> None:
    with pytest.raises(ParseError, match=r"x\.pdf: a PDF begins with"):
        parse_isolated(b"no pdf", uri="x.pdf", timeout_s=60)


def test_a_document_that_takes_too_long_is_stopped_and_the_next_one_parsed() -> None:
    heavy = b"<table>" + b"<tr><td>a<td>b</tr>" * 1_000_000
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"slow\.html: parsing took longer than 0\.5 s"):
        parse_isolated(heavy, uri="slow.html", timeout_s=0.5)
    assert time.monotonic() - started < 10
    assert parse_isolated(b"<p>fine", uri="x.html", timeout_s=60).text == "fine"


def test_a_worker_that_takes_no_data_is_stopped_in_time(fresh_workers: None) -> None:
    """A request larger than the pipe must not wait for ever for a reader."""
    parse_isolated(b"text", uri="x.txt", timeout_s=60)
    os.kill(isolate._idle[-1].process.pid, signal.SIGSTOP)
    with pytest.raises(TimedOut):
        parse_isolated(b"text " * 1_000_000, uri="x.txt", timeout_s=0.5)


def test_a_crashed_worker_is_a_parse_error_and_the_next_document_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., Any] = isolate.Worker.ask

    def crash(self: isolate.Worker, *arguments: Any) -> Any:
        os.kill(self.process.pid, signal.SIGSEGV)
        return original(self, *arguments)

    monkeypatch.setattr(isolate.Worker, "ask", crash)
    with pytest.raises(ParseError, match=r"x\.html: the parser crashed"):
        parse_isolated(b"<p>x" * 100_000, uri="x.html", timeout_s=60)
    monkeypatch.undo()
    assert parse_isolated(b"<p>fine", uri="x.html", timeout_s=60).text == "fine"


def test_a_worker_that_died_between_two_documents_costs_none_of_them(fresh_workers: None) -> None:
    parse_isolated(b"text", uri="x.txt", timeout_s=60)
    os.kill(isolate._idle[-1].process.pid, signal.SIGKILL)
    assert parse_isolated(b"other", uri="x.txt", timeout_s=60).text == "other"


def test_a_document_that_wants_too_much_memory_is_too_large(fresh_workers: None) -> None:
    heavy = b"<table>" + b"<tr><td>a<td>b</tr>" * 300_000
    with pytest.raises(TooLarge):
        parse_isolated(heavy, uri="x.html", timeout_s=60, max_memory_bytes=150_000_000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's memory")
@pytest.mark.parametrize("page", ["x.html", "x.xml"])
def test_a_parser_that_runs_out_of_memory_before_the_watch_sees_it_says_so(page: str) -> None:
    """libxml2 reports it as a syntax error without a line; the watch looks only every so often."""
    script = """
import resource, sys
from indexes.errors import TooLarge
from ingest.parse import parse
parse(b"<p>fine</p>", uri=sys.argv[1])  # everything is imported
held = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
heavy = b"<table>" + b"<tr><td>a</td></tr>" * 300_000 + b"</table>"
resource.setrlimit(resource.RLIMIT_DATA, (held + 60_000_000, resource.RLIM_INFINITY))
try:
    parse(heavy, uri=sys.argv[1])
except TooLarge:
    print("too large")
"""
    result = subprocess.run([sys.executable, "-c", script, page], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "too large", result.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell a process's memory")
def test_memory_is_counted_with_all_that_a_worker_starts() -> None:
    hungry = "import sys; data = b'x' * 100_000_000; print('ready', flush=True); sys.stdin.read()"
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}])"
    with subprocess.Popen([sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        assert isolate.resident(process.pid) > 100_000_000
        process.stdin.close()


def test_a_worker_is_replaced_after_so_many_documents(fresh_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "MAX_DOCUMENTS", 2)
    parse_isolated(b"one", uri="x.txt", timeout_s=60)
    first = isolate._idle[-1].process
    parse_isolated(b"two", uri="x.txt", timeout_s=60)
    assert not isolate._idle
    assert first.returncode is not None
    assert parse_isolated(b"three", uri="x.txt", timeout_s=60).text == "three"


def test_a_worker_that_has_grown_is_replaced(fresh_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "KEEP_BYTES", 1)
    parse_isolated(b"one", uri="x.txt", timeout_s=60)
    assert not isolate._idle


def test_every_thread_has_a_worker_of_its_own(fresh_workers: None) -> None:
    texts = [f"text {number}" for number in range(40)]
    with ThreadPoolExecutor(3) as threads:
        parsed = list(threads.map(lambda text: parse_isolated(text.encode(), uri="x.txt", timeout_s=60).text, texts))
    assert parsed == texts
    assert 1 <= len(isolate._idle) <= 3
    assert not isolate._busy


def test_rows_need_no_worker_and_all_else_has_one(fresh_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "Worker", None)
    assert parse_isolated(b"text", uri="x", format="row", timeout_s=1).text == "text"
    with pytest.raises(ParseError):
        parse_isolated(b"text", uri="x.md", timeout_s=1)


OWNER = """
import json, sys, threading, time
from ingest import isolate
from ingest.isolate import parse_isolated
heavy = b"<table>" + b"<tr><td>a<td>b</tr>" * 1_000_000
parse_isolated(b"text", uri="x.txt", timeout_s=60)
threading.Thread(target=parse_isolated, args=(heavy,), kwargs={"uri": "x.html", "timeout_s": 60}, daemon=True).start()
parse_isolated(b"text", uri="x.txt", timeout_s=60)
while not isolate._idle or not isolate._busy:
    time.sleep(0.01)
print(json.dumps([worker.process.pid for worker in [*isolate._idle, *isolate._busy]]), flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an alarm ends the workers, some seconds later")
@pytest.mark.parametrize("killed", [True, False])
def test_no_worker_outlives_its_owner_whether_that_is_killed_or_ends(killed: bool) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, "60" if killed else "0"], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    workers = json.loads(owner.stdout.readline())
    assert len(workers) == 2
    if killed:
        assert all(map(is_running, workers))
        owner.kill()
    owner.wait(timeout=60)
    owner.stdout.close()
    assert wait_until(lambda: not any(map(is_running, workers)))


@pytest.mark.slow
def test_a_worker_adds_less_than_a_few_milliseconds_to_a_small_document() -> None:
    """0.3 ms on a quiet machine; the bound leaves room for a busy one."""
    page = b"# Title\n\nSome text.\n"
    parse_isolated(page, uri="x.md", timeout_s=60)
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        parse_isolated(page, uri="x.md", timeout_s=60)
        taken.append(time.perf_counter() - started)
    assert sorted(taken)[100] < 0.01
