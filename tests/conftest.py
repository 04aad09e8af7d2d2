"""One local Spark for the whole test run, and the lake that it knows by production URLs."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STATE = "tidehuntstate.dfs.core.windows.net"
EXPORTS = "tidehuntexports.dfs.core.windows.net"
TABLES = (
    "asimdnsactivitylogs",
    "asimnetworksessionlogs",
    "commonsecuritylog",
    "devicenetworkevents",
    "dnsevents",
    "threatintelindicators",
    "threatintelligenceindicator",
    "vmconnection",
)

SHARING = ("contract", "hunts")
LONGEST = ("test_whole_loop", "hunts", "test_simulation", "test_bad_input", "contract",
           "test_crash_points")  # fmt: skip

PYSPARKS_OWN = (
    # It leaves the sockets open over which a driver collects rows.
    r"ignore:unclosed <socket.*'127\.0\.0\.1':ResourceWarning",
    # It compares versions with it before it makes a function over Arrow batches.
    "ignore:distutils Version classes are deprecated:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings are errors, but for pyspark's own. The longest come first: see `Rooms`."""
    for item in items:
        if "session" in getattr(item, "fixturenames", ()):
            for warning in PYSPARKS_OWN:
                item.add_marker(pytest.mark.filterwarnings(warning))
    items.sort(key=lambda item: _rank(_room(item.path)))


class Rooms(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Each process of `make test` takes whole rooms, so that both end together.

    A room is what shares costly fixtures: a folder with the Spark session or a conftest of its own,
    elsewhere a file.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _room(Path(nodeid.split("::", maxsplit=1)[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Rooms:
    """How tests are shared among processes."""
    return Rooms(config, log)


def _room(path: Path) -> str:
    return path.parent.name if path.parent.name in SHARING else path.stem


def _rank(room: str) -> int:
    return LONGEST.index(room) if room in LONGEST else len(LONGEST)


@pytest.fixture(scope="session")
def lake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`exports/am-<table>` and `state/{results,tables,code}`: what the session's URLs reach.

    Tests share it: each has a workspace and jobs of its own.
    """
    lake = Path(tmp_path_factory.mktemp("lake"))
    for folder in _mounts(lake).values():
        folder.mkdir(parents=True)
    return lake


@pytest.fixture(scope="session")
def session(lake_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The only Spark session of the run. pyspark is imported by those tests alone that need it."""
    scratch = Path(tmp_path_factory.mktemp("spark"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in _environment().items():
            environment.setenv(name, value)
        time.tzset()
        builder = importlib.import_module("pyspark.sql").SparkSession.builder.master("local[2]")
        for name, value in _configuration(lake_folder, scratch).items():
            builder = builder.config(name, value)
        running = builder.getOrCreate()
        running.sparkContext.setLogLevel("ERROR")
        importlib.import_module("spark.tuning").remember_classes(running)
        yield running
        running.stop()
    time.tzset()


def _submit() -> ModuleType:
    return importlib.import_module("workbench.emulators.spark_submit")


def _environment() -> dict[str, str]:
    """Collected timestamps are in the process's own time zone, so it is UTC as on a pool."""
    java = _submit().java_home()
    return {
        "JAVA_HOME": str(java),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
    }


def _configuration(lake: Path, scratch: Path) -> dict[str, str]:
    mounts = {
        f"spark.hadoop.fs.viewfs.mounttable.{container}.linkFallback": folder.as_uri()
        for container, folder in _mounts(lake).items()
    }
    return mounts | {
        # For a minute of work one compiler and one plan of a query are enough.
        "spark.driver.extraJavaOptions": f"{_submit().QUICK} -XX:-UsePerfData",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.hadoop.fs.abfss.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        # The checksummed local file system would leave .crc files in the lake.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        # Asked for block locations, a mount fails on the root of a container.
        "spark.sql.sources.ignoreDataLocality": "true",
        "spark.tidehunt.listing": "serial",
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _mounts(lake: Path) -> Mapping[str, Path]:
    """`container@host` -> folder."""
    state = {f"{name}@{STATE}": lake / "state" / name for name in ("results", "tables", "code")}
    exports = {f"am-{name}@{EXPORTS}": lake / "exports" / f"am-{name}" for name in TABLES}
    return state | exports
