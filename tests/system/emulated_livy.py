"""An emulated Spark pool with Microsoft's client, for the tests of its parts.

python -m tests.system.emulated_livy <home> <file for a pid>     an emulator to be killed
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from azure.synapse.spark import SparkClient
from azure.synapse.spark.models import SparkBatchJobOptions

from tests.system.emulated import Credential, caller, serve, token, wait_for
from workbench.emulators import livy
from workbench.emulators.livy import Livy
from workbench.emulators.spark_submit import Process, Submission

REPOSITORY = Path(__file__).parents[2]
STATE = "tidehuntstate.dfs.core.windows.net"
EXPORTS = "tidehuntexports.dfs.core.windows.net"
MAIN = f"abfss://code@{STATE}/main.py"
ROLES = json.loads((REPOSITORY / "infra" / "roles.json").read_text())["spark"]

# A stand-in for Spark: makes what Spark makes once it is up, then does what its argument says.
APPLICATION = """
import pathlib, subprocess, sys, time
print("the driver speaks")
if sys.argv[1] == "children":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(sys.argv[2]).write_text(str(child.pid))
pathlib.Path("local/blockmgr-1").mkdir(parents=True)
while sys.argv[1] in ("wait", "children"):
    time.sleep(0.05)
print("the driver ends")
sys.exit({"succeed": 0, "fail": 3}[sys.argv[1]])
"""


def stand_in(to: Submission) -> Process:
    """Start APPLICATION instead of Spark."""
    to.log.parent.mkdir(exist_ok=True)
    return Process([sys.executable, "-c", APPLICATION, *to.request["args"]], dict(os.environ), to)


class Pool:
    """An emulator over a home, and what a client of it does."""

    def __init__(self, home: Path, ends: ExitStack, **options: Any) -> None:
        self.lake = home / "lake"
        self.service = Livy(
            home,
            accounts={
                EXPORTS: ("exports", self.lake / "exports"),
                STATE: ("state", self.lake / "state"),
            },
            roles=ROLES,
            **{"pools": {"small": 4}, "creates_per_second": None, "submit": stand_in} | options,
        )
        ends.callback(self.service.stop)
        self.address = serve(livy.routes(self.service, caller), ends)
        client = SparkClient(Credential(), self.address, "small", retry_total=0)
        self.client = ends.enter_context(client).spark_batch

    def create(self, batch: SparkBatchJobOptions) -> Any:
        return self.client.create_spark_batch_job(batch, detailed=True, enforce_https=False)

    def submit(self, batch: SparkBatchJobOptions) -> int:
        """Create a batch; its id."""
        return int(self.create(batch).id)

    def look(self, batch_id: int) -> Any:
        return self.client.get_spark_batch_job(batch_id, detailed=True, enforce_https=False)

    def cancel(self, batch_id: int) -> None:
        self.client.cancel_spark_batch_job(batch_id, enforce_https=False)

    def list(self, start: int | None = None, size: int | None = None) -> Any:
        return self.client.get_spark_batch_jobs(
            from_parameter=start, size=size, detailed=True, enforce_https=False
        )

    def reach(self, batch_id: int, *states: str, seconds: float = 20.0) -> Any:
        """The batch, once it is in one of these states."""

        def arrived() -> Any:
            batch = self.look(batch_id)
            return batch if batch.state in states else None

        return wait_for(arrived, seconds)

    def post(self, sent: Any, version: str = "2020-12-01", pool: str = "small") -> httpx.Response:
        """A create without the client, for what the client would not send."""
        return httpx.post(
            f"{self.address}/livyApi/versions/{version}/sparkPools/{pool}/batches",
            content=sent if isinstance(sent, bytes) else json.dumps(sent),
            headers=token("https://dev.azuresynapse.net"),
        )


def options(does: str, *more: str, name: str = "job") -> SparkBatchJobOptions:
    """A batch whose application does `does`."""
    return SparkBatchJobOptions(name=name, file=MAIN, arguments=[does, *more], tags={"k": "v"})


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "job", "file": MAIN, "args": ["succeed"]} | changes


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no Linux, or it has just gone
        return not Path("/proc").is_dir()


def main(home: Path, pid: str) -> None:
    """Run a batch that starts a child, and wait to be killed."""
    doomed = Livy(home, accounts={}, roles={}, pools={"small": 1}, submit=stand_in)
    doomed.batches.create("small", body(args=["children", pid]), "app")
    time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
