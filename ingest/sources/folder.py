"""A folder of files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.sources.base import CONTROL_FILES, SourceItem, checked, refused
from ingest.sources.files import file_items, file_uri, name_below, read_beside


@dataclass(frozen=True)
class FolderSource:
    """Every file below a folder, sorted, but hidden ones and the control files in the root.

    A symbolic link whose target lies inside the folder is passed over: the target is listed at its own place, under
    its own rights. One that leads elsewhere is listed and refuses to be read, for the rights at the target are not
    known here.
    """

    root: Path

    @property
    def name(self) -> str:
        return self.root.as_uri()

    @property
    def spec(self) -> dict[str, str]:
        return {"location": str(self.root)}

    def items(self) -> Iterator[SourceItem]:
        return checked(self._walk())

    def read_control(self, name: str) -> bytes | None:
        return read_beside(self.root, name)

    def _walk(self) -> Iterator[SourceItem]:
        """Go depth first with a list of what is left to do, for folders may be nested deeper than calls can be."""
        root = str(self.root)
        pending = [root]
        while pending:
            path = pending.pop()
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISDIR(mode):
                    with os.scandir(path) as entries:
                        names = sorted((entry.name for entry in entries), reverse=True)
                    pending += [os.path.join(path, name) for name in names if _is_listed(name, path == root)]
                    continue
            except OSError as error:
                yield self._refused(path, f"it cannot be listed: {error.strerror}")
                continue
            if not stat.S_ISLNK(mode):
                yield from file_items(path, root, follow=False)
            elif not self._listed_elsewhere(Path(path)):
                yield self._refused(path, "it is a symbolic link that leads out of the folder, or nowhere")

    def _refused(self, path: str, why: str) -> SourceItem:
        return refused(name_below(path, str(self.root)), file_uri(path), why)

    def _listed_elsewhere(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True).relative_to(self.root)
        except (OSError, RuntimeError, ValueError):
            return False
        return not any(part.startswith(".") for part in target.parts)


def _is_listed(name: str, in_root: bool) -> bool:
    return not name.startswith((".", "~$")) and not (in_root and name in CONTROL_FILES)
