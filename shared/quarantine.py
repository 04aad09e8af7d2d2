"""Documents that cannot be used: left alone, said once in the log, and listed in `/api/status`.

Every process remembers what it has met; a turn writes that down for those who ask another process.
It looks at all of it again, so that a mended document leaves the list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.errors import BadInput, Quarantined

log = logging.getLogger("tidehunt.quarantine")
UNUSABLE = "health/quarantined.json"
LISTED = 50
"""So many documents are listed; that there are more is in the log."""
WHY_CHARACTERS = 500


@dataclass
class Quarantine:
    """What this process has met: path -> why it cannot be used."""

    met: dict[str, str] = field(default_factory=dict)

    def put(self, path: str, error: BadInput) -> Quarantined:
        """The error to raise; it is said when it is news."""
        found = Quarantined(error.what, where=path, mend=error.mend)
        if self.met.get(path) != error.what:
            log.error("quarantined: %s", found)
        self.met[path] = error.what
        return found

    def free(self, path: str) -> None:
        """The document can be used, or is gone."""
        if self.met.pop(path, None) is not None:
            log.warning("can be used again, or is gone: %s", path)

    def listed(self, told: Mapping[str, str], is_usable: Callable[[str], bool]) -> dict[str, str]:
        """What is to be told now, after `told`; all of it is looked at again."""
        for path in sorted({*told, *self.met})[:LISTED]:
            is_usable(path)
        chosen = sorted(self.met.items())[:LISTED]
        return {path: why[:WHY_CHARACTERS] for path, why in chosen}


def level(error: BaseException) -> int:
    """How loud an error is in the log: what is quarantined was said when it was read."""
    return logging.DEBUG if isinstance(error, Quarantined) else logging.ERROR
