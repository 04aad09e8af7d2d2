"""Failures as Spark raises them: which of them another job may get past."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from py4j.protocol import Py4JNetworkError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

failures = pytest.importorskip("spark.failures", reason="pyspark is not installed")
lakes = importlib.import_module("spark.lake")


def failing(action: Callable[[], Any]) -> BaseException:
    """What an action raises."""
    with pytest.raises(Exception) as raised:
        action()
    return raised.value


def lost_block(session: SparkSession) -> Any:
    """A checkpoint of which the executor that held it is gone."""
    held: Any = session.sparkContext._jsc
    before = set(held.getPersistentRDDs())
    kept = session.range(5).localCheckpoint()
    for number, blocks in dict(held.getPersistentRDDs()).items():
        if number not in before:
            blocks.unpersist(True)
    return kept.collect()


def raising_python(session: SparkSession) -> Any:
    """A hunt's Python that raises in a worker."""

    def work(batches: Any) -> Any:
        raise OSError(next(iter(batches)).num_rows)

    return session.range(5).mapInArrow(work, "id long").collect()


def too_old(session: SparkSession, folder: Path) -> Any:
    """A value that the writer refuses: the stage fails, and tells of it as its cause."""
    other = session.newSession()
    other.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "EXCEPTION")
    other.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    rows = other.sql("select timestamp'1601-01-01 00:00:00' as Time")
    return rows.write.parquet(str(folder / "old"))


Action = Callable[[Any, Path], Any]
PASSING: dict[str, Action] = {
    "a block that is lost": lambda session, _: lost_block(session),
    "a store that is not there": lambda session, _: lakes.Lake(session).read("abfss://x@y.net/z"),
    "a file system's refusal": lambda session, folder: lakes.Lake(session).rename(
        f"{folder.as_uri()}/a", f"{folder.as_uri()}/b"
    ),
}
LASTING: dict[str, Action] = {
    "a plan that cannot be": lambda session, _: session.range(1).select("nothing"),
    "a hunt's Python": lambda session, _: raising_python(session),
    "a value that cannot be written": too_old,
    "an argument": lambda session, _: session.range(1).write.mode("?").parquet("x"),
}


@pytest.mark.parametrize("name", [*PASSING, *LASTING])
def test_what_the_world_did_may_pass_and_what_is_known_does_not(
    session: SparkSession, tmp_path: Path, name: str
) -> None:
    error = failing(lambda: {**PASSING, **LASTING}[name](session, tmp_path))
    assert failures.may_pass(error) == (name in PASSING), failures.said(error)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (ConnectionResetError("by peer"), True),
        (Py4JNetworkError("answer from Java side is empty"), True),
        (failures.Unreadable("t cannot be copied", passing=True), True),
        (failures.Unreadable("t cannot be copied", passing=False), False),
        (KeyError("threshold"), False),
        (MemoryError(), False),
    ],
)
def test_errors_of_python(error: BaseException, passing: bool) -> None:
    assert failures.may_pass(error) == passing


def test_an_error_is_told_as_far_as_there_is_room() -> None:
    assert failures.said(KeyError("x")) == "KeyError: 'x'"
    assert len(failures.said(ValueError("x" * 9_000))) == failures.ERROR_CHARACTERS
