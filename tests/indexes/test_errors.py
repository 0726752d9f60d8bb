"""Every error has an exit code, an HTTP status and a place in the tree that the module's docstring draws."""

from __future__ import annotations

import re

import pytest

from indexes import errors
from indexes.errors import AccessDenied, DatasetError, DependencyMissing, LoremillError, PromotionRefused, ProviderError
from indexes.vocabulary import Principal


def classes(root: type[LoremillError] = LoremillError) -> list[type[LoremillError]]:
    return [root, *(found for child in root.__subclasses__() for found in classes(child))]


@pytest.mark.parametrize("error", classes(), ids=lambda error: error.__name__)
def test_every_class_has_an_exit_code_and_an_http_status(error: type[LoremillError]) -> None:
    assert error.exit_code in ({1} if error is PromotionRefused else {64, 65, 70})
    assert 400 <= error.http_status < 600
    assert error.title
    assert (error.exit_code == 70) == (error.http_status >= 500 and error is not DependencyMissing), (
        "70 is our own fault"
    )


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    line = re.compile(r"^ +[|+ -]*([A-Z]\w+)(?: \(also ImportError\))?(?: +(\d+) +(\d+))?$", re.M)
    drawn = line.findall(errors.__doc__ or "")
    assert {name for name, *_ in drawn} == {error.__name__ for error in classes()}
    for name, exit_code, status in drawn:
        if exit_code:
            error = getattr(errors, name)
            assert (error.exit_code, error.http_status) == (int(exit_code), int(status)), name


def test_a_missing_dependency_is_an_import_error_that_names_the_command_to_run() -> None:
    error = DependencyMissing("faiss-cpu", extra="embed")
    assert isinstance(error, ImportError)
    assert error.install == "pip install 'loremill[embed]'"
    assert error.install in str(error)


def test_a_denial_says_the_same_to_everyone() -> None:
    one, other = AccessDenied(Principal("a", "user:x")), AccessDenied(Principal("b", "user:y"))
    assert str(one) == str(other) == "access denied"
    assert one.principal != other.principal


def test_an_evaluation_error_points_at_its_line() -> None:
    assert str(DatasetError("no id", path="q.jsonl", line=3)) == "q.jsonl:3: no id"
    assert str(DatasetError("is empty", path="q.jsonl")) == "q.jsonl: is empty"


def test_a_provider_error_carries_its_own_advice_when_to_come_back() -> None:
    assert ProviderError("busy", retry_after_s=2.5).retry_after_s == 2.5
