"""The directory of principals and API keys."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.directory import Directory, PrincipalInfo, Role
from indexes.errors import AccessDenied, ConfigError, IndexBackendError
from indexes.vocabulary import Principal

ALICE = Principal("halden", "user:alice", ("group:finance", "group:staff"))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    opened = Directory.open(tmp_path / "home")
    opened.import_principals(
        _file(
            tmp_path,
            "alice: {tenant: halden, groups: [finance, 'group:staff']}\n"
            "bob: {tenant: halden}\n"
            "zoe: {tenant: other, subject: 'agent:zoe'}\n",
        )
    )
    return opened


def _file(folder: Path, text: str) -> Path:
    path = folder / "principals.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_resolve_with_group_prefix_added_and_subject_defaulted(directory: Directory) -> None:
    assert directory.resolve("alice") == ALICE
    assert directory.resolve("bob") == Principal("halden", "user:bob")
    assert directory.resolve("zoe") == Principal("other", "agent:zoe")


def test_a_literal_resolves_without_being_imported(directory: Directory) -> None:
    assert directory.resolve("x/user:eve,group:a") == Principal("x", "user:eve", ("group:a",))


def test_an_unknown_name_is_a_clear_error(directory: Directory) -> None:
    with pytest.raises(ConfigError, match=r"unknown principal 'mallory'.*principals import"):
        directory.resolve("mallory")
    with pytest.raises(ConfigError, match="not valid Unicode"):
        directory.resolve("caf\udce9")


def test_the_mapping_may_stand_under_a_principals_key(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    assert directory.import_principals(_file(tmp_path, "principals:\n  alice: {tenant: t, groups: [a]}\n")) == 1
    alice = Principal("t", "user:alice", ("group:a",))
    assert directory.list_principals() == [PrincipalInfo("alice", alice, active=True)]


def test_an_import_removes_the_entries_of_its_tenants_that_it_no_longer_names(
    directory: Directory, tmp_path: Path
) -> None:
    directory.import_principals(_file(tmp_path, "bob: {tenant: halden, groups: [staff]}"))
    assert [one.name for one in directory.list_principals()] == ["bob", "zoe"]
    assert directory.resolve("bob").groups == ("group:staff",)


def test_an_import_cannot_take_a_name_from_a_tenant_it_does_not_cover(directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'zoe' is in use in another tenant"):
        directory.import_principals(_file(tmp_path, "zoe: {tenant: halden}"))
    assert directory.resolve("zoe").tenant == "other"
    assert directory.resolve("alice") == ALICE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names none"),
        ("- alice", "must map names"),
        ("a: {tenant: t}\nb: [1]", "line 2: b: must be a mapping"),
        ("a: {tenant: t}\na: {tenant: u}", "line 2: a: is named twice"),
        ("a: {tenant: t}\nb: {groups: [x]}", "line 2: b: needs a tenant"),
        ("a: {tenant: t, groups: finance}", "line 1: a: groups must be a list"),
        ("a: {tenant: t, groups: [1]}", "groups must be a list"),
        ("a: {tenant: t, group: [x]}", "unknown fields group"),
        ("a: {tenant: 'no spaces'}", "line 1: a: tenant"),
        ("a: {tenant: t, subject: root}", "line 1: a: subject"),
        ("t/a: {tenant: t}", "without '/'"),
        ("a: {tenant: t, groups: !!python/name:os.system }", "line 1: a: "),
        ("a: {tenant: [", "not valid YAML"),
        ("a: {tenant: t, active: perhaps}", "line 1: a: active must be true or false"),
        ("a: {tenant: t, active: false, active: true}", "line 1: a: has active twice"),
        ("principals: {a: {tenant: t}}\ngroups: {}", "names none"),
        (
            "principals: {a: {tenant: t}}\ngroups:\n  g: {tenant: t, members: [zed]}",
            "line 3: g: member 'zed': write user:NAME",
        ),
        ("groups:\n  g: {members: ['user:a']}", "line 2: g: needs a tenant"),
        ("groups:\n  g: {tenant: t, members: 'user:a'}", "line 2: g: members must be a list"),
        ("groups:\n  g: {tenant: t, member: ['user:a']}", "unknown fields member; known are tenant, members"),
        ("groups:\n  g: {tenant: t}\n  'group:g': {tenant: t}", "line 3: group:g: is named twice"),
        ("groups:\n  'group:': {tenant: t}", "must look like group:finance"),
        ("groups:\n  g: {tenant: 'no spaces'}", "line 2: g: tenant"),
    ],
)
def test_a_malformed_file_says_where_and_changes_nothing(
    directory: Directory, tmp_path: Path, text: str, message: str
) -> None:
    before = directory.list_principals()
    with pytest.raises(ConfigError, match=message):
        directory.import_principals(_file(tmp_path, text))
    assert directory.list_principals() == before


def test_groups_stand_beside_principals_and_may_name_groups_and_subjects(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    text = """
        principals:
          zed: {tenant: halden}
          amy: {tenant: halden, groups: [finance-emea]}
        groups:
          finance: {tenant: halden, members: [group:finance-emea, "user:zed"]}
          group:empty: {tenant: halden}
        """
    assert directory.import_principals(_file(tmp_path, text)) == 2
    assert directory.resolve("zed").groups == ("group:finance",)
    assert directory.resolve("amy").groups == ("group:finance", "group:finance-emea")


def test_anchors_and_merge_keys_may_be_used(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    text = "a: &a {tenant: t, groups: [x]}\nb: &b {<<: *a, subject: 'user:bb', groups: [y]}\nc: {<<: *b, subject: 'user:c'}"
    directory.import_principals(_file(tmp_path, text))
    assert directory.resolve("b") == Principal("t", "user:bb", ("group:y",))
    assert directory.resolve("c") == Principal("t", "user:c", ("group:y",))


def test_a_tenant_named_by_the_caller_is_that_of_the_entries_that_name_none(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    directory.import_principals(_file(tmp_path, "amy: {groups: [a]}\nbob: {tenant: other}"), tenant="halden")
    assert directory.resolve("amy").tenant == "halden"
    assert directory.resolve("bob").tenant == "other"
    with pytest.raises(ConfigError, match="tenant 'no spaces' is not a valid name"):
        directory.import_principals(tmp_path / "principals.yaml", tenant="no spaces")


def test_an_import_takes_the_memberships_of_its_tenants_with_it(directory: Directory, tmp_path: Path) -> None:
    directory.import_principals(
        _file(tmp_path, "principals: {zoe: {tenant: other}}\ngroups: {a: {tenant: other, members: ['user:zoe']}}")
    )
    assert directory.resolve("alice") == ALICE
    directory.import_principals(_file(tmp_path, "groups: {staff: {tenant: halden, members: ['user:alice']}}"))
    directory.import_principals(_file(tmp_path, "alice: {tenant: halden}"))
    assert directory.resolve("alice").groups == ()
    assert directory.resolve("zoe").groups == ("group:a",)


def test_two_names_of_one_subject_share_its_groups(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    text = "bob: {tenant: t, groups: [a]}\nrob: {tenant: t, subject: 'user:bob', groups: [b]}"
    directory.import_principals(_file(tmp_path, text))
    assert directory.resolve("bob") == directory.resolve("rob") == Principal("t", "user:bob", ("group:a", "group:b"))


def test_a_deactivated_name_is_listed_and_can_neither_be_resolved_nor_use_its_keys(directory: Directory) -> None:
    secrets = [directory.create_key(bound_to)[1] for bound_to in ("alice", "halden/user:alice,group:finance")]
    directory.deactivate("alice")
    assert directory.list_principals()[0] == PrincipalInfo("alice", ALICE, active=False)
    with pytest.raises(AccessDenied, match="'alice' is deactivated"):
        directory.resolve("alice")
    assert [directory.authenticate(secret) for secret in secrets] == [None, None]
    directory.activate("alice")
    assert directory.resolve("alice") == ALICE
    assert all(directory.authenticate(secret) for secret in secrets)


def test_a_missing_or_undecodable_file_is_a_config_error(directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        directory.import_principals(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: {tenant: t\xff}")
    with pytest.raises(ConfigError, match="cannot be read"):
        directory.import_principals(tmp_path / "latin.yaml")


def test_a_key_speaks_for_its_principal_with_its_role(directory: Directory) -> None:
    key_id, secret = directory.create_key("alice", label="laptop", role=Role.EDITOR)
    identity = directory.authenticate(secret)
    assert identity is not None
    assert (identity.principal, identity.role, identity.key_id) == (ALICE, Role.EDITOR, key_id)


def test_the_secret_is_nowhere_in_the_files(directory: Directory, tmp_path: Path) -> None:
    _, secret = directory.create_key("alice")
    tail = secret.split("_", 2)[2].encode()
    files = list((tmp_path / "home").iterdir())
    assert files
    assert not [path for path in files if tail in path.read_bytes()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_group_removed_by_an_import_is_gone_at_the_next_request(directory: Directory, tmp_path: Path) -> None:
    _, secret = directory.create_key("alice")
    directory.import_principals(_file(tmp_path, "alice: {tenant: halden, groups: [staff]}"))
    identity = directory.authenticate(secret)
    assert identity is not None
    assert identity.principal.groups == ("group:staff",)


@pytest.mark.parametrize(
    "entry", ["bob: {tenant: halden}", "bob: {tenant: halden}\nalice: {tenant: halden, subject: 'user:al'}"]
)
def test_a_key_of_a_principal_removed_or_made_someone_else_is_useless(
    directory: Directory, tmp_path: Path, entry: str
) -> None:
    _, secret = directory.create_key("alice")
    directory.import_principals(_file(tmp_path, entry))
    assert directory.authenticate(secret) is None


def test_a_revoked_key_is_useless_in_every_process_at_once(directory: Directory, tmp_path: Path) -> None:
    key_id, secret = directory.create_key("alice")
    elsewhere = Directory.open(tmp_path / "home")
    assert elsewhere.authenticate(secret) is not None
    assert directory.revoke_key(key_id)
    assert elsewhere.authenticate(secret) is None
    assert not directory.revoke_key(key_id)
    assert not directory.revoke_key("no-such-key")


def test_keys_are_listed_without_secrets(directory: Directory) -> None:
    key_id, secret = directory.create_key("halden/user:bot,group:staff", label="nightly")
    directory.revoke_key(key_id)
    (info,) = directory.list_keys()
    assert (info.key_id, info.principal, info.label, info.role) == (
        key_id,
        "halden/user:bot,group:staff",
        "nightly",
        "reader",
    )
    assert info.revoked is not None
    assert secret not in str(info.to_json())


def test_a_key_needs_a_known_principal_and_a_known_role(directory: Directory) -> None:
    with pytest.raises(ConfigError, match="unknown principal"):
        directory.create_key("mallory")
    with pytest.raises(ConfigError, match="unknown role 'admin'"):
        directory.create_key("alice", role="admin")
    assert directory.list_keys() == []


@given(guess=st.text(max_size=80))
def test_no_text_but_the_secret_opens_the_directory(tmp_path_factory: pytest.TempPathFactory, guess: str) -> None:
    directory = Directory.open(tmp_path_factory.getbasetemp() / "guessing")
    if not directory.list_keys():
        directory.create_key("t/user:a")
    key_id = directory.list_keys()[0].key_id
    for secret in (guess, f"lm_{guess}", f"lm_{key_id}_{guess}", f"lm_{key_id}"):
        assert directory.authenticate(secret) is None


def test_another_prefix_does_not_pass_for_the_secret(directory: Directory) -> None:
    _, secret = directory.create_key("alice")
    assert directory.authenticate("xx" + secret[2:]) is None
    assert directory.authenticate(secret + "A") is None


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "directory.db").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(IndexBackendError, match=r"directory\.db in the home cannot be used"):
        Directory.open(tmp_path).list_keys()


def test_an_import_interrupted_by_a_lock_leaves_the_old_entries(directory: Directory, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "home" / "directory.db")
    other.execute("BEGIN IMMEDIATE")
    impatient = Directory.open(tmp_path / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexes.directory_file.LOCK_TIMEOUT_S", 0.05)
        with pytest.raises(IndexBackendError, match="locked"):
            impatient.import_principals(_file(tmp_path, "bob: {tenant: halden}"))
    other.rollback()
    assert directory.resolve("alice") == ALICE
