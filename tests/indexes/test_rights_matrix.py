"""Who may read what, case by case: an ACL or a path of acl.yaml, somebody who asks, the outcome, and the reason for it.

Everyone is taken from the directory as of now, as a query does it. The reason is the one that `indexes.access.reason` gives; a
principal that may do nothing at all is refused before anything is looked at.
"""

from __future__ import annotations

import pytest
import yaml

from indexes.access import readable_classes, reason
from indexes.directory import Directory
from indexes.errors import AccessDenied
from indexes.vocabulary import Acl
from ingest.acl_file import AclRules
from ingest.rights import Rights
from ingest.sources.base import SourceItem
from ingest.sources.rows import own_rights

PEOPLE = """
principals:
  alice: {tenant: halden, groups: [finance-emea]}
  bob:   {tenant: halden}
  carol: {tenant: halden, groups: [hr]}
  dave:  {tenant: halden, groups: [finance-emea, interns]}
  erin:  {tenant: halden, groups: [loop-a]}
  frank: {tenant: halden, groups: [finance], active: false}
  bot:   {tenant: halden, subject: "agent:bot", groups: [automation]}
  mail:  {tenant: halden, subject: "service:mail"}
  zoe:   {tenant: rival, groups: [finance]}
groups:
  finance:    {tenant: halden, members: [group:finance-emea]}   # alice and dave by way of finance-emea
  leadership: {tenant: halden, members: [group:finance]}        # they again, a level further up
  temporary:  {tenant: halden, members: [group:interns]}        # dave
  loop-a:     {tenant: halden, members: [group:loop-b]}         # each in the other: erin is in both
  loop-b:     {tenant: halden, members: [group:loop-a]}
"""

ACLS = [
    # everyone is everyone in the tenant
    ("allow: [everyone]", "bob", "reads", "allowed: everyone is on the allow list"),
    ("allow: [everyone]", "bot", "reads", "allowed: everyone is on the allow list"),
    ("allow: [everyone]", "mail", "reads", "allowed: everyone is on the allow list"),
    ("allow: [everyone]", "halden/user:nobody-we-know", "reads", "allowed: everyone is on the allow list"),
    ("allow: [everyone]", "zoe", "refused", "of another tenant"),
    ("allow: [everyone]", "rival/user:alice", "refused", "of another tenant"),
    # nobody
    ("allow: []", "alice", "denied", "denied: nobody is on the allow list"),
    ("allow: []", "bot", "denied", "denied: nobody is on the allow list"),
    ("deny: [user:bob]", "alice", "denied", "denied: nobody is on the allow list"),
    ("deny: [user:bob]", "bob", "denied", "denied: user:bob is on the deny list"),
    # subjects
    ("allow: [user:alice]", "alice", "reads", "allowed: user:alice is on the allow list"),
    ("allow: [user:alice]", "bob", "denied", "denied: not on the allow list"),
    ("allow: [user:Alice]", "alice", "denied", "denied: not on the allow list"),
    ("allow: [user:alice, user:bob]", "bob", "reads", "allowed: user:bob is on the allow list"),
    ("allow: [user:alice]", "halden/user:alice", "reads", "allowed: user:alice is on the allow list"),
    # agents and services are not the people whose name they bear
    ("allow: [agent:bot]", "bot", "reads", "allowed: agent:bot is on the allow list"),
    ("allow: [user:bot]", "bot", "denied", "denied: not on the allow list"),
    ("allow: [group:automation]", "bot", "reads", "allowed: group:automation is on the allow list"),
    ("allow: [user:alice]", "halden/agent:alice", "denied", "denied: not on the allow list"),
    ("allow: [service:mail]", "mail", "reads", "allowed: service:mail is on the allow list"),
    ("allow: [agent:mail]", "mail", "denied", "denied: not on the allow list"),
    ("{allow: [everyone], deny: [agent:bot]}", "bot", "denied", "denied: agent:bot is on the deny list"),
    ("{allow: [everyone], deny: [agent:bot]}", "alice", "reads", "allowed: everyone is on the allow list"),
    # groups, and groups within groups
    ("allow: [group:hr]", "carol", "reads", "allowed: group:hr is on the allow list"),
    ("allow: [group:hr]", "alice", "denied", "denied: not on the allow list"),
    ("allow: [group:h]", "carol", "denied", "denied: not on the allow list"),
    ("allow: [group:HR]", "carol", "denied", "denied: not on the allow list"),
    ("allow: [group:finance]", "alice", "reads", "allowed: group:finance is on the allow list"),
    ("allow: [group:leadership]", "alice", "reads", "allowed: group:leadership is on the allow list"),
    ("allow: [group:finance-emea]", "halden/user:x,group:finance", "denied", "denied: not on the allow list"),  # not downwards
    ("allow: [group:leadership]", "halden/user:x,group:finance", "reads", "allowed: group:leadership is on the allow list"),
    ("allow: [group:finance]", "halden/user:alice", "denied", "denied: not on the allow list"),  # a literal has what it states
    ("allow: [group:loop-a]", "erin", "reads", "allowed: group:loop-a is on the allow list"),
    ("allow: [group:loop-b]", "erin", "reads", "allowed: group:loop-b is on the allow list"),
    ("allow: [group:finance]", "zoe", "refused", "of another tenant"),
    # deny beats allow
    ("{allow: [everyone], deny: [user:bob]}", "bob", "denied", "denied: user:bob is on the deny list"),
    ("{allow: [everyone], deny: [user:bob]}", "alice", "reads", "allowed: everyone is on the allow list"),
    ("{allow: [user:bob], deny: [user:bob]}", "bob", "denied", "denied: user:bob is on the deny list"),
    ("{allow: [user:bob], deny: [everyone]}", "bob", "denied", "denied: everyone is on the deny list"),
    ("{allow: [group:finance], deny: [group:temporary]}", "dave", "denied", "denied: group:temporary is on the deny list"),
    ("{allow: [group:finance], deny: [group:temporary]}", "alice", "reads", "allowed: group:finance is on the allow list"),
    ("{allow: [user:alice], deny: [group:leadership]}", "alice", "denied", "denied: group:leadership is on the deny list"),
    ("{allow: [group:leadership], deny: [group:finance]}", "alice", "denied", "denied: group:finance is on the deny list"),
    ("{allow: [everyone], deny: [group:loop-b]}", "erin", "denied", "denied: group:loop-b is on the deny list"),
    ("{allow: [everyone], deny: [group:finance]}", "halden/user:x,group:finance-emea", "denied", "denied: group:finance is on the deny list"),
    ("{allow: [everyone], deny: [group:finance-emea]}", "halden/user:x,group:finance", "reads", "allowed: everyone is on the allow list"),
    # whoever is deactivated may do nothing, by name or by literal; somebody else of the same groups may
    ("allow: [everyone]", "frank", "refused", "inactive"),
    ("allow: [user:frank]", "halden/user:frank", "refused", "inactive"),
    ("allow: [group:finance]", "halden/user:frank,group:finance", "refused", "inactive"),
    ("allow: [everyone]", "halden/agent:frank", "reads", "allowed: everyone is on the allow list"),
    ("allow: [group:finance]", "halden/user:y,group:finance", "reads", "allowed: group:finance is on the allow list"),
]  # fmt: skip

ACL_YAML = """
tenant: halden
default: {allow: [everyone]}
rules:
  - {path: "finance/**", allow: [group:finance]}
  - {path: "finance/public/**", allow: [everyone]}
  - {path: "finance/public/draft.md", deny: [group:temporary]}
  - {path: "hr/cases/", allow: [group:hr], deny: [user:carol]}
  - {path: "hr/cases/open/*.md", allow: [group:hr]}
  - {path: "*.secret.md", allow: []}
  - {path: "/README.md", deny: [user:bob]}
  - {path: "plans/202?/*.md", allow: [agent:bot]}
  - {path: "plans/**/board.md", allow: [group:leadership], deny: [group:temporary]}
  - {path: "archive", allow: [service:mail]}
"""

PATHS = [
    # the default, where no rule matches
    ("welcome.md", "default", "bob", "reads", "allowed: everyone is on the allow list"),
    ("welcome.md", "default", "zoe", "refused", "of another tenant"),
    ("hr/leave.md", "default", "bob", "reads", "allowed: everyone is on the allow list"),
    ("finance", "default", "bob", "reads", "allowed: everyone is on the allow list"),  # ** is what lies below
    # the last matching rule decides, not the narrowest and not the first
    ("finance/q1.md", "finance/**", "alice", "reads", "allowed: group:finance is on the allow list"),
    ("finance/q1.md", "finance/**", "bob", "denied", "denied: not on the allow list"),
    ("finance/2026/q1.md", "finance/**", "bob", "denied", "denied: not on the allow list"),
    ("finance/q1.md", "finance/**", "frank", "refused", "inactive"),
    ("finance/public/a.md", "finance/public/**", "bob", "reads", "allowed: everyone is on the allow list"),
    ("hr/cases/7.md", "hr/cases/", "halden/user:x,group:hr", "reads", "allowed: group:hr is on the allow list"),
    ("hr/cases/7.md", "hr/cases/", "carol", "denied", "denied: user:carol is on the deny list"),
    ("hr/cases/open/8.md", "hr/cases/open/*.md", "carol", "reads", "allowed: group:hr is on the allow list"),  # its deny is replaced too
    ("hr/cases/open/old/8.md", "hr/cases/", "carol", "denied", "denied: user:carol is on the deny list"),  # * stays in its folder
    # a rule that only denies narrows what stood before it, and opens nothing
    ("finance/public/draft.md", "finance/public/draft.md", "bob", "reads", "allowed: everyone is on the allow list"),
    ("finance/public/draft.md", "finance/public/draft.md", "dave", "denied", "denied: group:temporary is on the deny list"),
    ("README.md", "/README.md", "alice", "reads", "allowed: everyone is on the allow list"),
    ("README.md", "/README.md", "bob", "denied", "denied: user:bob is on the deny list"),
    # patterns
    ("docs/README.md", "default", "bob", "reads", "allowed: everyone is on the allow list"),  # a leading / is the root alone
    ("a/b/x.secret.md", "*.secret.md", "alice", "denied", "denied: nobody is on the allow list"),  # no slash: at any depth
    ("finance/public/x.secret.md", "*.secret.md", "bob", "denied", "denied: nobody is on the allow list"),
    ("plans/2026/a.md", "plans/202?/*.md", "bot", "reads", "allowed: agent:bot is on the allow list"),
    ("plans/2026/a.md", "plans/202?/*.md", "alice", "denied", "denied: not on the allow list"),
    ("plans/2030/a.md", "default", "alice", "reads", "allowed: everyone is on the allow list"),
    ("plans/2026/board.md", "plans/**/board.md", "alice", "reads", "allowed: group:leadership is on the allow list"),
    ("plans/2026/board.md", "plans/**/board.md", "bot", "denied", "denied: not on the allow list"),
    ("plans/board.md", "plans/**/board.md", "dave", "denied", "denied: group:temporary is on the deny list"),
    ("old/archive/a.md", "archive", "mail", "reads", "allowed: service:mail is on the allow list"),  # all below a plain name
    ("archives/a.md", "default", "bob", "reads", "allowed: everyone is on the allow list"),
    ("Finance/q1.md", "default", "bob", "reads", "allowed: everyone is on the allow list"),  # paths know case
]  # fmt: skip

ROWS = [
    # a row's own acl stands above the file's rules, in both directions; a malformed one opens nothing
    ("finance/q1.md", {"allow": ["user:bob"]}, "bob", "reads", "allowed: user:bob is on the allow list"),
    ("finance/q1.md", {"allow": ["user:bob"]}, "alice", "denied", "denied: not on the allow list"),
    ("welcome.md", {"allow": ["group:leadership"]}, "dave", "reads", "allowed: group:leadership is on the allow list"),
    ("welcome.md", {"allow": ["group:leadership"]}, "bob", "denied", "denied: not on the allow list"),
    ("welcome.md", {"deny": ["user:bob"]}, "alice", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", {"allow": []}, "alice", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", {"allow": "everyone"}, "alice", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", {"allow": ["finance"]}, "alice", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", {"allow": ["everyone"], "Deny": ["user:bob"]}, "bob", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", "everyone", "alice", "denied", "denied: nobody is on the allow list"),
    ("welcome.md", {"allow": ["everyone"]}, "frank", "refused", "inactive"),
    ("welcome.md", {"allow": ["everyone"]}, "zoe", "refused", "of another tenant"),
]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    home = tmp_path_factory.mktemp("matrix")
    (home / "principals.yaml").write_text(PEOPLE)
    opened = Directory.open(home)
    opened.import_principals(home / "principals.yaml")
    return opened


def outcome(acl: Acl, who: str, directory: Directory) -> tuple[str, str]:
    """Ask as a query of tenant halden does."""
    try:
        principal = directory.effective(directory.resolve(who))
    except AccessDenied:
        return "refused", "inactive"
    try:
        classes = readable_classes({1: acl}, tenant="halden", principal=principal).classes
    except AccessDenied:
        return "refused", "of another tenant"
    return "reads" if classes else "denied", reason(acl, principal)


@pytest.mark.parametrize(("acl", "who", "expected", "why"), ACLS)
def test_an_acl_and_whoever_asks_decide(acl: str, who: str, expected: str, why: str, directory: Directory) -> None:
    lists = yaml.safe_load(acl)
    assert outcome(Acl(lists.get("allow", ()), lists.get("deny", ())), who, directory) == (expected, why)


@pytest.mark.parametrize(("path", "rule", "who", "expected", "why"), PATHS)
def test_the_last_rule_that_matches_the_path_decides(
    path: str, rule: str, who: str, expected: str, why: str, directory: Directory
) -> None:
    acl, decided = AclRules.parse(ACL_YAML).resolve(path)
    assert decided.rpartition(": ")[2] == rule
    assert outcome(acl, who, directory) == (expected, why)


@pytest.mark.parametrize(("path", "own", "who", "expected", "why"), ROWS)
def test_a_rows_own_acl_stands_above_the_file(
    path: str, own: object, who: str, expected: str, why: str, directory: Directory
) -> None:
    item = SourceItem("1", path, path, "row", lambda _limit: b"", 0, acl=own_rights(own)[0])
    assert outcome(Rights(AclRules.parse(ACL_YAML)).of(item).acl, who, directory) == (expected, why)
