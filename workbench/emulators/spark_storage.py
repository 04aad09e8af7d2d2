"""What the pool's identity may reach in the lake: decides mounts, and refuses jobs that name more.

Roles are `infra/roles.json`'s for one identity: account -> container pattern -> role. A mount lets
a job write where it has only Reader: a local folder cannot tell who writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

_URL = re.compile(r"abfss?://(?:([^/@\s,;\"']*)@)?([^/\s,;\"']*)", re.IGNORECASE)


class SparkStorage:
    """`accounts`: dfs host name -> (account key in `roles`, folder with its containers)."""

    def __init__(
        self,
        accounts: Mapping[str, tuple[str, Path]],
        roles: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._accounts = {host.lower(): account for host, account in accounts.items()}
        self._roles = roles

    def mounts(self) -> dict[str, Path]:
        """`container@host` -> folder, for each container that exists now and has a role."""
        return {
            f"{folder.name}@{host}": folder
            for host, (key, root) in self._accounts.items()
            for folder in (sorted(root.iterdir()) if root.is_dir() else ())
            if folder.is_dir() and self._has_role(key, folder.name)
        }

    def forbidden(self, texts: Iterable[str]) -> str | None:
        """The first `abfss://` URL in the texts that the identity has no role for, or None."""
        for text in texts:
            for match in _URL.finditer(text):
                if not self._may_name(match[1] or "", match[2].lower()):
                    return match[0]
        return None

    def _may_name(self, container: str, host: str) -> bool:
        account = self._accounts.get(host)
        return account is not None and self._has_role(account[0], container)

    def _has_role(self, key: str, container: str) -> bool:
        return any(fnmatchcase(container, pattern) for pattern in self._roles.get(key, {}))
