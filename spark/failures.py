"""Which failures may pass by themselves, so that another job is worth its price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors.exceptions.captured import UnknownException, convert_exception

ERROR_CHARACTERS = 2000
DEEPEST = 20
"""Causes of causes that are looked at: a chain of them may be a ring."""


class Unreadable(Exception):
    """Tables that a run reads could not be copied. `passing`: another job may well copy them."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed with the same code and the same data.

    So it is with executors, blocks and answers that were lost, and with a store that failed. What
    Spark knows by name (a plan that cannot be, a value that cannot be written, Python of a hunt
    that raised) comes again, also where it is the cause of a stage's failure.
    """
    if isinstance(error, Unreadable):
        return error.passing
    if isinstance(error, Py4JJavaError):
        return not any(_is_known(one) for one in _causes(error.java_exception))
    return isinstance(error, OSError | Py4JNetworkError)


def said(error: BaseException) -> str:
    """An error in words, as far as a manifest has room for it."""
    return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]


def _causes(thrown: Any) -> Iterator[Any]:
    for _ in range(DEEPEST):
        if thrown is None:
            return
        yield thrown
        thrown = thrown.getCause()


def _is_known(thrown: Any) -> bool:
    return not isinstance(convert_exception(thrown), UnknownException)
