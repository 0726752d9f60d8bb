"""The workflow that docs/ci.md offers: it is YAML, and every command and option in it and in the shell form is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from service.cli import app

DOCS = Path(__file__).parents[2] / "docs"
WORKFLOW = DOCS / "examples" / "loremill-gate.yml"


def scripts() -> list[str]:
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["gate"]["steps"]
    shell = re.findall(r"```bash\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)
    assert len(shell) == 1
    return [*(step["run"] for step in steps if "run" in step), *shell]


def calls() -> list[str]:
    """Every call of loremill, up to where the shell takes over."""
    found = [call for script in scripts() for call in re.findall(r"(?<![\w\"\[/])loremill [^\n|>)]*", script)]
    return sorted(set(found))


def test_the_workflow_is_yaml_that_runs_on_pull_requests_and_may_comment() -> None:
    workflow: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    assert "pull_request" in workflow[True]  # YAML 1.1 reads `on` as a boolean; GitHub does not
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert all("run" in step or "uses" in step for step in workflow["jobs"]["gate"]["steps"])


def test_ingest_candidate_and_gate_are_all_in_it() -> None:
    named = {" ".join(call.split()[1:3]) for call in calls()}
    assert {"ingest documents", "principals import", "release create", "eval gate"} <= named


@pytest.mark.parametrize("call", calls())
def test_every_command_and_option_in_it_is_there(call: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(call)[1:]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, call
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_verdicts_of_the_workflow_are_the_exit_codes() -> None:
    verdict = scripts()[-2]
    for code, name in enumerate(("PASS", "FAIL", "INCONCLUSIVE")):
        assert re.search(rf"^ *{code}\) .*{name}", verdict, re.MULTILINE)
