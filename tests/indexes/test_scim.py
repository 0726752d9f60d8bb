"""SCIM users and groups are imported strictly: all of a tenant, or nothing and a sentence that says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.directory import Directory
from indexes.errors import ConfigError, ConfigFileError
from indexes.vocabulary import Principal

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

ALICE = {
    "schemas": [USER, ENTERPRISE], "id": "u-1", "externalId": "7", "userName": "alice", "active": True,
    "name": {"familyName": "A"}, "groups": [{"value": "g-9", "display": "board"}], ENTERPRISE: {"department": "x"},
}  # fmt: skip
BOB = {"schemas": [USER], "id": "u-2", "userName": "bob@halden.example", "active": False}
EMEA = {
    "schemas": [GROUP], "id": "g-1", "displayName": "Finance EMEA",
    "members": [{"value": "u-1", "type": "User", "$ref": "https://idp.example/Users/u-1", "display": "Alice"}],
}  # fmt: skip
FINANCE = {"schemas": [GROUP], "id": "g-2", "displayName": "finance", "members": [{"value": "g-1", "type": "Group"}]}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    opened = Directory.open(tmp_path / "home")
    (tmp_path / "before.yaml").write_text("old: {tenant: halden, groups: [finance]}\nzoe: {tenant: rival}\n")
    opened.import_principals(tmp_path / "before.yaml")
    return opened


def imported(directory: Directory, document: Any, *, tenant: str | None = "halden", name: str = "scim.json") -> int:
    path = directory._path.parent / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return directory.import_principals(path, tenant=tenant)


def listed(*resources: Any, **more: Any) -> dict[str, Any]:
    schema = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
    return {"schemas": [schema], "totalResults": len(resources), "Resources": list(resources), **more}


@pytest.mark.parametrize("name", ["scim.json", "export.txt"])
@pytest.mark.parametrize("wrap", [listed, lambda *resources: list(resources)])
def test_users_and_groups_become_principals_and_memberships(directory: Directory, wrap: Any, name: str) -> None:
    assert imported(directory, wrap(FINANCE, EMEA, ALICE, BOB), name=name) == 2
    assert directory.resolve("alice") == Principal("halden", "user:alice", ("group:Finance EMEA", "group:finance"))
    states = {one.name: one.active for one in directory.list_principals()}
    assert states == {"alice": True, "bob@halden.example": False, "zoe": True}  # halden's `old` is gone, rival is not


def test_a_second_import_takes_away_what_it_no_longer_has(directory: Directory) -> None:
    imported(directory, listed(FINANCE, EMEA, ALICE, BOB))
    alice = directory.resolve("alice")
    imported(directory, listed(FINANCE | {"members": None}, EMEA, ALICE))
    assert directory.effective(alice).groups == ("group:Finance EMEA",)
    assert [one.name for one in directory.list_principals()] == ["alice", "zoe"]


def test_the_tenant_may_stand_in_the_document(directory: Directory) -> None:
    imported(directory, listed(ALICE, tenant="acme"), tenant=None)
    assert directory.resolve("alice").tenant == "acme"
    assert directory.resolve("old").tenant == "halden"


def test_without_ids_and_schemas_members_are_known_by_name_and_kinds_by_attribute(directory: Directory) -> None:
    group = {"displayName": "a", "members": [{"value": "amy"}, {"value": "b"}]}
    imported(directory, [{"userName": "amy", "displayName": "Amy"}, group, {"displayName": "b"}])
    assert directory.resolve("amy").groups == ("group:a",)


def test_an_id_stands_above_a_name(directory: Directory) -> None:
    first, second = {"id": "1", "userName": "2"}, {"id": "2", "userName": "1"}
    imported(directory, [first, second, {"displayName": "g", "members": [{"value": "1"}]}])
    assert directory.resolve("2").groups == ("group:g",)
    assert directory.resolve("1").groups == ()


def test_names_of_attributes_know_no_case(directory: Directory) -> None:
    imported(directory, {"RESOURCES": [{"USERNAME": "amy", "Active": False}]})
    assert not next(one for one in directory.list_principals() if one.name == "amy").active


def test_a_json_file_of_names_is_still_a_principals_file(directory: Directory) -> None:
    assert imported(directory, {"amy": {"tenant": "halden", "groups": ["a"]}}, tenant=None) == 1
    assert directory.resolve("amy").groups == ("group:a",)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "names none"),
        ({"Resources": {}}, "Resources must be a list"),
        (listed(ALICE, totalResults=250), "has 1 of 250 resources.*put every page into one file"),
        (listed(ALICE, tenant="rival"), "is of tenant 'rival', not 'halden'"),
        (listed(ALICE, tenant=7), "add --tenant T"),
        ([7], r"Resources\[0\]: must be an object"),
        ([{"id": "1"}], "neither schemas nor userName nor displayName"),
        ([ALICE | {"schemas": [ENTERPRISE]}], "schemas must name the core schema of User or of Group"),
        ([ALICE | {"schemas": [USER, GROUP]}], "schemas must name the core schema"),
        ([ALICE | {"schemas": USER}], "schemas must name the core schema"),
        ([ALICE | {"userName": ""}], r"Resources\[0\]: a User needs a userName"),
        ([ALICE | {"userName": " alice"}], "a User needs a userName, as text without space"),
        ([ALICE | {"userName": "halden/alice"}], "without '/'"),
        ([ALICE | {"id": 7}], "id must be text"),
        ([ALICE | {"active": "False"}], r"Resources\[0\], User 'alice': active must be true or false, got 'False'"),
        ([ALICE | {"active": None}], "active must be true or false"),
        ([EMEA | {"displayName": None}, ALICE], "a Group needs a displayName"),
        ([EMEA | {"members": {}}, ALICE], "Group 'Finance EMEA': members must be a list"),
        ([EMEA | {"members": ["u-1"]}, ALICE], "a member needs a value"),
        ([EMEA | {"members": [{"type": "User"}]}, ALICE], "a member needs a value"),
        ([EMEA | {"members": [{"value": "u-1", "type": "Device"}]}, ALICE], "must be User or Group"),
        ([EMEA, BOB], r"Group 'Finance EMEA': member 'u-1' is no User of this file"),
        ([EMEA | {"members": [{"value": "u-7"}]}, ALICE], "member 'u-7' is no User or Group of this file"),
        ([EMEA | {"members": [{"value": "u-1", "type": "Group"}]}, ALICE], "member 'u-1' is no Group of this file"),
        ([{"userName": "a"}, {"displayName": "a", "members": [{"value": "a"}]}], "'a' is a User and a Group; give its"),
        ([ALICE, BOB | {"userName": "Alice"}], r"User 'Alice': has the name of .*Resources\[0\], User 'alice'"),
        ([ALICE, EMEA, EMEA | {"id": "g-7"}], "has the name of"),
        ([ALICE, BOB | {"id": "u-1"}], "has the id of"),
        ([ALICE | {"userName": "zoe"}], "'zoe' is in use in another tenant"),
        ('{"Resources": [', "is not valid JSON"),
        ('[{"userName": "amy", "active": false, "Active": true}]', "an object has 'Active' twice"),
        ('[{"userName": "\\ud800"}]', "not valid Unicode"),
    ],
)
def test_a_malformed_document_says_where_and_changes_nothing(directory: Directory, document: Any, message: str) -> None:
    before = directory.list_principals(), directory.generation()
    with pytest.raises(ConfigError, match=message):
        imported(directory, document)
    assert (directory.list_principals(), directory.generation()) == before


def test_without_a_tenant_the_error_says_how_to_give_one(directory: Directory) -> None:
    for document in (listed(ALICE), [ALICE]):
        with pytest.raises(ConfigFileError, match=r'scim\.json: SCIM knows no tenants: add --tenant T, or .*"tenant"'):
            imported(directory, document, tenant=None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["alice", "u-1", USER, GROUP, "User", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "userName", "displayName", "members", "value", "type", "schemas"]), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(resources=st.lists(json_values, max_size=4))
def test_whatever_the_resources_hold_they_are_imported_or_refused_as_a_bad_file(
    tmp_path_factory: pytest.TempPathFactory, resources: list[Any]
) -> None:
    from indexes.principals import read_principals

    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"Resources": resources}))
    try:
        roster = read_principals(path, tenant="halden")
    except ConfigFileError:
        return
    assert roster.tenants == {"halden"}
    subjects = {entry.principal.subject for entry in roster.principals.values()}
    assert all(member.member in subjects or member.member.startswith("group:") for member in roster.memberships)
