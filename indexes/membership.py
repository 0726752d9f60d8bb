"""Who is in which groups at this moment, and who may do anything at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from indexes.directory_file import DirectoryFile, grow
from indexes.errors import AccessDenied, ConfigError
from indexes.groups import Edges, containing, edges_above, shortest_chain
from indexes.roster import check_member, group_name
from indexes.vocabulary import Principal, check_name

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEPT = 4096
"""Principals whose groups are kept; with a few dozen groups each, some megabytes."""


class Membership(DirectoryFile):
    """What `Directory` knows of groups. Rights are asked for through `effective`, at each query."""

    def effective(self, principal: Principal) -> Principal:
        """Return the principal with all its groups as of now, those that contain its groups included.

        A principal that came from an imported name has the groups that the directory gives it now, whatever it carries.
        A literal, or the claims of a token, keeps the groups it states; the directory adds the groups that contain these,
        never groups of the subject. Ask with what was stated, not with an earlier result: a result of a literal states groups
        that a change since may have taken away.

        Raises:
            AccessDenied: the subject is gone (only where it came from a name) or inactive. A subject with several names is
                inactive as soon as one of them is.
        Cost: one read of one row; after a change also one look-up for each of its groups.
        """
        stated = () if principal.in_directory else principal.groups
        now = self._kept(self.generation(), principal.tenant, principal.subject, stated, principal.in_directory)
        if now is None:
            raise AccessDenied(principal)
        return now

    def group_path(self, principal: Principal, group: str) -> tuple[str, ...]:
        """Return why the principal is in `group`: the shortest chain, such as ("user:alice", "group:emea", "group:finance").

        Empty if it is not.

        Raises:
            AccessDenied: as `effective`.
        """
        self.effective(principal)
        with self._read() as db:
            return shortest_chain(_edges(db, principal), principal.subject, group)

    def add_member(self, group: str, member: str, tenant: str) -> bool:
        """Put a subject or a group into a group; return False if it was there.

        Args:
            group: `group:NAME`, or just its name; it need not have members yet.
            member: `group:NAME`, or the subject of a principal of the tenant.
            tenant: whose group it is.
        Raises:
            ConfigError: a name is malformed, or the tenant has no such principal.
        """
        from sqlalchemy.dialects.sqlite import insert

        from indexes.directory_tables import memberships

        row = _row(group, member, tenant)
        with self._write() as db:
            if not member.startswith("group:") and not _actives(db, tenant, member):
                raise ConfigError(f"tenant {tenant} has no principal with the subject {member!r}: import it first")
            added = db.execute(insert(memberships).on_conflict_do_nothing(), row).rowcount > 0
            if added:
                grow(db)
        if added:
            self._tell(tenant, "directory", change="add member", group=row["group"], member=member)
        return added

    def remove_member(self, group: str, member: str, tenant: str) -> bool:
        """Take a subject or a group out of a group, for the next query; return False if it was not directly in it.

        Raises:
            ConfigError: a name is malformed.
        """
        from indexes.directory_tables import memberships

        row = _row(group, member, tenant)
        with self._write() as db:
            removed = db.execute(memberships.delete().filter_by(**row)).rowcount > 0
            if removed:
                grow(db)
        if removed:
            self._tell(tenant, "directory", change="remove member", group=row["group"], member=member)
        return removed

    def deactivate(self, name: str) -> None:
        """Take every right from a principal, its keys included, from the next query on. It stays known; groups stay as they are.

        Raises:
            ConfigError: no such name.
        """
        self._set_active(name, False)

    def activate(self, name: str) -> None:
        """Undo `deactivate`.

        Raises:
            ConfigError: no such name.
        """
        self._set_active(name, True)

    def close(self) -> None:
        super().close()
        self.__dict__.pop("_kept", None)

    def _set_active(self, name: str, active: bool) -> None:
        from indexes.directory_tables import principals

        with self._write() as db:
            set_active = principals.update().where(principals.c.name == name).values(active=active)
            row = db.execute(set_active.returning(principals.c.tenant, principals.c.subject)).one_or_none()
            if row is None:
                raise ConfigError(f"unknown principal {name!r}; see `loremill principals list`")
            grow(db)
        self._tell(row.tenant, "directory", change="activate" if active else "deactivate", of=row.subject)

    @cached_property
    def _kept(self) -> Callable[[int, str, str, tuple[str, ...], bool], Principal | None]:
        """`_work_out` with a memory. Its key has the generation, so nothing kept before a change is found after it."""
        return lru_cache(maxsize=_KEPT)(self._work_out)

    def _work_out(
        self, _generation: int, tenant: str, subject: str, stated: tuple[str, ...], in_directory: bool
    ) -> Principal | None:
        """Return the principal with all its groups, None if it may do nothing.

        A change between the reading of the generation and this makes the result newer than its key, never older.
        """
        principal = Principal(tenant, subject, stated, in_directory)
        with self._read() as db:
            actives = _actives(db, tenant, subject)
            if not all(actives) or (in_directory and not actives):
                return None
            groups = containing(_edges(db, principal), subject)
        return Principal(tenant, subject, groups, in_directory)


def _actives(db: Connection, tenant: str, subject: str) -> list[bool]:
    """Return, for each name that the subject has, whether it is active."""
    found = db.exec_driver_sql("SELECT active FROM principals WHERE tenant = ? AND subject = ?", (tenant, subject))
    return [bool(active) for active in found.scalars()]


def _edges(db: Connection, principal: Principal) -> Edges:
    """Return the memberships that count for a principal, and those above them."""
    if principal.in_directory:
        return edges_above(db, tenant=principal.tenant, names=[principal.subject])
    above = edges_above(db, tenant=principal.tenant, names=principal.groups)
    return {**above, principal.subject: principal.groups}


def _row(group: str, member: str, tenant: str) -> dict[str, str]:
    return {"tenant": check_name(tenant, "tenant"), "member": check_member(member), "group": group_name(group)}
