"""What can fail, by what a caller may do about it.

    TidehuntError             says what failed, where, and the mend
    ├── Transient             the same request may succeed later
    │   ├── Throttled         ... after `retry_after` seconds
    │   ├── OutcomeUnknown    ... but it may have taken effect already
    │   └── Forbidden         ... roles take up to 30 minutes to reach a service
    ├── Permanent             the same request never succeeds
    │   ├── TooLarge          cut it smaller (413)
    │   ├── Rejected          the service refuses the content (400)
    │   └── Missing           what it names is not there (404)
    ├── Conflict              somebody else wrote first: read again
    └── BadInput              a person's or a log's content: names file and line
        ├── LaterVersion      a document that only a later version understands
        └── Quarantined       a ledger document that cannot be used: said already, left alone

Retry policy is decided by type alone: no caller looks at a status code.
"""

from __future__ import annotations


class TidehuntError(Exception):
    """Base of all errors that Tidehunt raises on purpose."""

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f" Mend: {self.mend}" if self.mend else ""
        return f"{self.what}{place}{'.' if advice else ''}{advice}"


class Transient(TidehuntError):
    """The same request may succeed later."""


class Throttled(Transient):
    """The service asked for patience; `retry_after` is in seconds."""

    def __init__(
        self, what: str, *, retry_after: float = 60.0, where: str = "", mend: str = ""
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.retry_after = retry_after


class OutcomeUnknown(Transient):
    """The answer was lost: the request may have taken effect."""


class Forbidden(Transient):
    """401 or 403: the identity has no role there, or not yet."""


class Permanent(TidehuntError):
    """The same request never succeeds."""


class TooLarge(Permanent):
    """413: the request is over a limit."""


class Rejected(Permanent):
    """400: the service refuses the content."""


class Missing(Permanent):
    """404: what the request names is not there."""


class Conflict(TidehuntError):
    """409 or 412: the document exists or has changed since it was read."""


class BadInput(TidehuntError):
    """Content that a person or a log wrote and that cannot be used."""


class LaterVersion(BadInput):
    """A document whose schema is newer than what this version knows."""


class Quarantined(BadInput):
    """A document of the ledger that cannot be used. It was said when it was read."""
