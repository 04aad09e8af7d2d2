"""Broken blobs and settings: the run ends well, all is counted, and one message names the mend."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
Json = dict[str, Any]
WORKSPACE = (
    "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.operationalinsights/workspaces/ws"
)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
SECONDS = 400


def tidehunt(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **environment},
    )


def row(minute: int, **more: object) -> Json:
    """One connection of a beacon that calls every minute."""
    at = DAY + timedelta(hours=8, minutes=minute)
    return {
        "TimeGenerated": f"{at:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "DeviceVendor": "Fortinet",
        "DeviceProduct": "Fortigate",
        "DeviceAction": "accept",
        "Protocol": "TCP",
        "SourceIP": "10.0.0.5",
        "SourcePort": 40000 + minute,
        "DestinationIP": "203.0.113.9",
        "DestinationPort": 443,
        "SentBytes": 517,
        "ReceivedBytes": 1200,
        "Type": "CommonSecurityLog",
        **more,
    }


def blob(root: Path, table: str, at: datetime, content: bytes, name: str = "PT05M.json") -> None:
    """Write one export blob."""
    folder = root / f"am-{table}" / f"WorkspaceResourceId={WORKSPACE}" / f"{at:y=%Y/m=%m/d=%d/h=%H}"
    folder = folder / f"m={at.minute - at.minute % 5:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def lines(*rows: Json) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(one) + "\n" for one in rows).encode()


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of a beacon, in blobs that are broken in every way that is known."""
    root = tmp_path_factory.mktemp("logs") / "exports"
    for start in range(0, 60, 5):
        rows = [row(minute) for minute in range(start, start + 5)]
        blob(root, "commonsecuritylog", DAY + timedelta(hours=8, minutes=start), lines(*rows))
    at = DAY + timedelta(hours=9)
    whole = lines(row(60), row(61))
    blob(root, "commonsecuritylog", at, whole + b'{"TimeGenerated":"2026-03-10T09:0')
    blob(root, "commonsecuritylog", at, b"\xef\xbb\xbf" + lines(row(62)), "PT5M.json")
    blob(root, "commonsecuritylog", at, lines(row(63, BrandNewColumn=1)), "PT05M_1.json")
    blob(root, "commonsecuritylog", at, b"this is no JSON\n" + lines(row(64)), "PT05M_2.json")
    blob(root, "commonsecuritylog", at, b"", "PT05M_3.json")
    blob(root, "commonsecuritylog", datetime(2099, 1, 1, tzinfo=UTC), lines(row(0)))
    blob(root, "mytable_cl", at, lines({"TimeGenerated": "2026-03-10T09:00:00Z"}))
    blob(root, "signinlogs", at, lines({"TimeGenerated": "2026-03-10T09:00:00Z"}))
    return root


@pytest.fixture(scope="module")
def hunted(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, str]:
    """The document of one hunt on the broken logs with a broken hunt beside, and what it said."""
    hunts = tmp_path_factory.mktemp("hunts")
    (hunts / "mine.yaml").write_text("id: no-guid\nlookback_dayz: 3\n", encoding="utf-8")
    (hunts / "mine.py").write_text("", encoding="utf-8")
    home = tmp_path_factory.mktemp("home") / "home"
    done = tidehunt(
        "hunt", "--home", str(home), "--logs", str(logs), "--json",
        TIDEHUNT_HUNT_FOLDERS=str(hunts),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document: Json = json.loads(done.stdout)
    return document, done.stderr


def test_the_beacon_is_found_in_spite_of_everything(hunted: tuple[Json, str]) -> None:
    document, _ = hunted
    assert [run["status"] for run in document["runs"]] == ["done"]
    found = [one for one in document["findings"] if one["severity"] in ("Medium", "High")]
    assert [one["entities"]["DstIpAddr"] for one in found] == ["203.0.113.9"]
    assert len(document["incidents"]) == 1


def test_all_that_is_broken_is_counted(hunted: tuple[Json, str]) -> None:
    document, _ = hunted
    (coverage,) = document["coverage"]
    table = coverage["tables"]["commonsecuritylog"]
    assert (table["blobs"], table["empty_blobs"]) == (17, 1)
    assert (table["lines"], table["rows"], table["dropped"]) == (67, 65, 2)
    assert table["unknown_columns"] == ["BrandNewColumn"]
    assert document["landed"]["future"] == 1
    # From 08:00, the first hour with data, to the end of the window are 16 hours: 2 were read.
    assert (coverage["hours_planned"], coverage["hours_missing"]) == (2, 16 - 2)


def test_tables_that_no_hunt_reads_are_said_once_and_are_no_error(
    hunted: tuple[Json, str],
) -> None:
    document, said = hunted
    assert said.count("mytable_cl") == 1
    assert sum("mytable_cl" in note for note in document["notes"]) == 1


def test_a_hunt_with_a_typo_is_named_with_file_and_line_and_the_others_run(
    hunted: tuple[Json, str],
) -> None:
    _, said = hunted
    assert "mine.yaml:" in said
    assert "lookback_days" in said


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            {"TIDEHUNT_SETTLE_SECONDS": "soon", "TIDEHUNT_JOBS_A_DAY": "-1"},
            ["TIDEHUNT_SETTLE_SECONDS", "TIDEHUNT_JOBS_A_DAY", "Mend"],
        ),
        ({"TIDEHUNT_SETTEL_SECONDS": "5"}, ["TIDEHUNT_SETTEL_SECONDS", "spelling"]),
        ({"TIDEHUNT_HUNT_FOLDERS": "/nowhere/at/all"}, ["TIDEHUNT_HUNT_FOLDERS"]),
    ],
)
def test_bad_settings_are_told_all_at_once(
    tmp_path: Path, environment: dict[str, str], says: list[str]
) -> None:
    done = tidehunt("serve", "--port", "0", "--home", str(tmp_path / "home"), **environment)
    assert done.returncode == 2
    assert [word for word in says if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = tidehunt("serve", "--port", port, "--home", str(tmp_path / "home"))
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nobody but root may mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_with_more_room_the_landing_goes_on(
    tmp_path: Path, small_disk: Path
) -> None:
    for hour in range(8):
        at = DAY + timedelta(hours=hour)
        rows = [row(minute, Message="x" * 5000) for minute in range(60)]
        blob(tmp_path / "exports", "commonsecuritylog", at, lines(*rows))
    land = ("land", "--home", str(small_disk / "home"), str(tmp_path / "exports"))
    done = tidehunt(*land)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "the disk is full" in done.stderr and "goes on where it stopped" in done.stderr
    landed = len(list(small_disk.rglob("PT05M.json")))
    assert 0 < landed < 8
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    done = tidehunt(*land)
    assert (done.returncode, done.stdout[:36]) == (
        0, f"{8 - landed} blobs landed, {landed} were there already"
    )  # fmt: skip


def test_a_hunt_on_a_full_disk_says_so_and_leaves_no_trace_of_python(small_disk: Path) -> None:
    done = tidehunt("hunt", "--home", str(small_disk / "home"))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "the disk is full" in done.stderr and "--home" in done.stderr


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = tidehunt("hunt", "--home", str(tmp_path / "file" / "home"))
    assert done.returncode == 2
    assert "--home" in done.stderr
    assert "Traceback" not in done.stderr
