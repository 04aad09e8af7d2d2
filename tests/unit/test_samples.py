"""The demo tenant: what an exporter would write, the same for the same seed, and a true key."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from shared import contract
from workbench.samples import ANSWER_KEY, AnswerKey, make_demo

WEDNESDAY, SUNDAY = date(2026, 3, 11), date(2026, 3, 15)

INT = {
    "DestinationPort", "DestinationTranslatedPort", "DeviceCustomNumber1", "DeviceCustomNumber2",
    "DeviceCustomNumber3", "EventCount", "ExternalID", "FlexNumber1", "SourcePort",
    "SourceTranslatedPort",
}  # fmt: skip
LONG = {"ReceivedBytes", "SentBytes", "FieldDeviceCustomNumber1"}
TIMES = {"TimeGenerated", "StartTime", "EndTime"}
"""Columns of CommonSecurityLog by Microsoft's table reference; every other one is a string."""


@dataclass(frozen=True)
class Demo:
    folder: Path
    key: AnswerKey

    def blobs(self, table: str) -> Iterator[tuple[contract.ExportBlob, str, bytes]]:
        """(what the path says, its minute, content), in path order."""
        container = f"am-{table}"
        for path in sorted((self.folder / container).rglob("*.json")):
            name = path.relative_to(self.folder / container).as_posix()
            blob = contract.parse_export_blob(container, name)
            assert blob is not None, name
            yield blob, name.split("/m=")[-1][:2], path.read_bytes()

    def rows(self, table: str = "commonsecuritylog") -> Iterator[dict[str, Any]]:
        for _, _, content in self.blobs(table):
            yield from map(json.loads, content.splitlines())

    def times(self) -> dict[tuple[str, str, int], list[float]]:
        """(source, destination, port) -> sorted times of its allowed rows."""
        found = defaultdict[tuple[str, str, int], list[float]](list)
        for row in self.rows():
            if row["SimplifiedDeviceAction"] not in ("Deny", "Drop"):
                pair = (row["SourceIP"], row["DestinationIP"], row["DestinationPort"])
                found[pair].append(moment(row["TimeGenerated"]).timestamp())
        return {pair: sorted(times) for pair, times in found.items()}


def moment(text: str) -> datetime:
    """A time as the service exports it: seven fractional digits and a Z."""
    assert len(text) == 28 and text.endswith("Z")
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)


def make(folder: Path, **options: Any) -> Demo:
    return Demo(folder / "exports", make_demo(folder / "exports", **options))


def digest(folder: Path) -> str:
    """A hash over every path and byte below a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(path.relative_to(folder).as_posix().encode())
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make(tmp_path_factory.mktemp("wednesday"), last_day=WEDNESDAY, days=1)


@pytest.fixture(scope="module")
def weekend(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make(tmp_path_factory.mktemp("sunday"), last_day=SUNDAY, days=1, seed=41)


def test_the_same_seed_and_day_give_the_same_bytes(demo: Demo, tmp_path: Path) -> None:
    again = make(tmp_path, last_day=WEDNESDAY, days=1)

    assert digest(again.folder.parent) == digest(demo.folder.parent)


def test_another_seed_gives_other_implants(demo: Demo, weekend: Demo) -> None:
    def servers(key: AnswerKey) -> set[str]:
        return {implant["DstIpAddr"] for implant in key.implants}

    assert servers(demo.key).isdisjoint(servers(weekend.key))


def test_every_path_is_an_export_path_of_the_demos_workspace(demo: Demo) -> None:
    for table in demo.key.rows:
        for blob, _, _ in demo.blobs(table):
            assert blob.table == table
            assert blob.workspace == demo.key.workspace
            assert blob.hour[:8] == f"{WEDNESDAY:%Y%m%d}"


@pytest.mark.parametrize("table", ["commonsecuritylog", "devicenetworkevents"])
def test_a_row_lies_in_the_file_of_its_five_minutes(demo: Demo, table: str) -> None:
    for blob, minute, content in demo.blobs(table):
        for line in content.splitlines():
            at = moment(json.loads(line)["TimeGenerated"])
            assert contract.hour_key(at) == blob.hour
            assert at.minute // 5 * 5 == int(minute)


def test_every_line_is_a_wide_row_with_the_declared_types(demo: Demo) -> None:
    sizes = []
    for _, _, content in demo.blobs("commonsecuritylog"):
        assert content.endswith(b"\n")
        for line in content.splitlines():
            row = json.loads(line)
            sizes.append(len(line))
            assert len(row) >= 55 and list(row) == sorted(row)
            assert not [name for name, value in row.items() if not declared(name, value)], row

    assert 2000 <= sum(sizes) / len(sizes) <= 2500


def declared(name: str, value: object) -> bool:
    """True when a column's value is of its declared type, or null where that may be null."""
    if name in INT:
        return value is None or (type(value) is int and 0 <= value < 2**31)
    if name in LONG:
        return value is None or (type(value) is int and value >= 0)
    return isinstance(value, str) and (name not in TIMES or bool(moment(value)))


def test_the_key_counts_what_was_written(demo: Demo) -> None:
    sizes = [path.stat().st_size for path in demo.folder.rglob("*.json")]

    assert sum(sizes) == demo.key.bytes
    assert {table: sum(1 for _ in demo.rows(table)) for table in demo.key.rows} == demo.key.rows


def test_the_key_is_json_beside_the_lake_and_never_in_it(demo: Demo) -> None:
    assert AnswerKey.read(demo.folder.parent / ANSWER_KEY) == demo.key
    assert {path.name for path in demo.folder.rglob("*") if path.is_file()} == {"PT05M.json"}
    assert b"implant" not in b"".join(content for _, _, content in demo.blobs("commonsecuritylog"))


def test_a_key_inside_the_lake_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside"):
        make_demo(tmp_path, last_day=WEDNESDAY, days=1, key_path=tmp_path / "sub" / "key.json")
    with pytest.raises(ValueError, match="a day at least"):
        make_demo(tmp_path, last_day=WEDNESDAY, days=0)


def test_each_vendor_speaks_its_own_language(demo: Demo) -> None:
    words = defaultdict[tuple[str, str], set[str]](set)
    for row in demo.rows():
        words[row["DeviceVendor"], row["DeviceProduct"]].add(row["DeviceAction"])

    vocabulary = {
        ("Fortinet", "Fortigate"): ({"accept", "close", "deny"}, {"timeout"}),
        ("Palo Alto Networks", "PAN-OS"): ({"allow", "deny"}, set()),
        ("Check Point", "VPN-1 & FireWall-1"): ({"Accept", "Drop"}, set()),
        ("Cisco", "ASA"): ({"Built", "Teardown", "Deny"}, set()),
    }
    assert words.keys() == vocabulary.keys()
    for device, (always, sometimes) in vocabulary.items():
        assert always <= words[device] <= always | sometimes


def test_rows_come_mostly_but_not_strictly_in_order(demo: Demo) -> None:
    back = total = 0
    for _, _, content in demo.blobs("commonsecuritylog"):
        times = [json.loads(line)["TimeGenerated"] for line in content.splitlines()]
        back += sum(later < earlier for earlier, later in pairwise(times))
        total += len(times)

    assert 0 < back < total / 3


@pytest.mark.parametrize("which", ["demo", "weekend"])
def test_implants_beat_at_their_stated_interval_on_the_last_day(
    which: str, request: pytest.FixtureRequest
) -> None:
    demo: Demo = request.getfixturevalue(which)
    times = demo.times()

    assert len(demo.key.implants) >= 6
    for implant in demo.key.implants:
        pair = (implant["SrcIpAddr"], implant["DstIpAddr"], implant["DstPortNumber"])
        gaps = [gap for gap in (b - a for a, b in pairwise(times[pair])) if gap > 2]
        interval, jitter = implant["interval_s"], implant["jitter"]
        tolerance = 0.03 + jitter / 2
        assert len(gaps) >= 20, implant["name"]
        assert median(gaps) == pytest.approx(interval, rel=tolerance), implant["name"]
        inside = [gap for gap in gaps if abs(gap / interval - 1) <= jitter + 3 / interval + 0.02]
        assert len(inside) >= 0.9 * len(gaps), implant["name"]


@pytest.mark.parametrize("which", ["demo", "weekend"])
def test_benign_rhythms_are_shared_or_allowed(which: str, request: pytest.FixtureRequest) -> None:
    demo: Demo = request.getfixturevalue(which)
    rows = list(demo.rows())
    active = {row["SourceIP"] for row in rows if row["SourceIP"] in demo.key.hosts}
    talkers = defaultdict[tuple[str, int], set[str]](set)
    for row in rows:
        talkers[row["DestinationIP"], row["DestinationPort"]].add(row["SourceIP"])

    assert len(active) >= 40
    for beat in demo.key.benign:
        for target in beat["DstIpAddrs"]:
            found = talkers[target, beat["DstPortNumber"]]
            assert len(found & set(beat["hosts"])) >= 5, (beat["name"], target)


@pytest.mark.parametrize("which", ["demo", "weekend"])
def test_no_lone_rhythm_but_implants_and_the_allow_list(
    which: str, request: pytest.FixtureRequest
) -> None:
    demo: Demo = request.getfixturevalue(which)
    implants = {(i["SrcIpAddr"], i["DstIpAddr"], i["DstPortNumber"]) for i in demo.key.implants}
    allowed = {(entry["destination"], entry["port"]) for entry in demo.key.allow_list}
    shared = {(ip, beat["DstPortNumber"]) for beat in demo.key.benign for ip in beat["DstIpAddrs"]}
    lone = {pair for pair, times in demo.times().items() if steady(times)}

    assert {pair for pair in lone if pair[1:] not in allowed | shared} <= implants
    assert implants <= lone


def steady(times: list[float]) -> bool:
    """At least 12 gaps, bursts aside, that lie close to their median: a plain measure."""
    gaps = [gap for gap in (b - a for a, b in pairwise(times)) if gap > 2]
    if len(gaps) < 12:
        return False
    middle = median(gaps)
    return median(abs(gap - middle) for gap in gaps) < 0.25 * middle


def test_interim_records_of_a_long_session_share_its_id(demo: Demo) -> None:
    [desktops] = [beat for beat in demo.key.benign if beat["name"] == "remote desktops"]
    seen = defaultdict[tuple[str, int], list[dict[str, Any]]](list)
    for row in demo.rows():
        target = (row["DestinationIP"], row["DestinationPort"])
        if target == (desktops["DstIpAddrs"][0], desktops["DstPortNumber"]):
            seen[row["SourceIP"], row["ExternalID"]].append(row)

    assert sorted({source for source, _ in seen}) == desktops["hosts"]
    for rows in seen.values():
        assert len({row["StartTime"] for row in rows}) == 1 and len(rows) >= 9
        assert {row["DeviceAction"] for row in rows} == {"accept", "close"}


def test_the_allow_list_says_who_and_why_and_until_when(demo: Demo) -> None:
    for entry in demo.key.allow_list:
        assert set(entry) == {"destination", "port", "owner", "reason", "expires"}
        assert date.fromisoformat(entry["expires"]) > WEDNESDAY
        assert entry["owner"] and entry["reason"]


def test_names_and_addresses_belong_to_nobody(demo: Demo) -> None:
    for row in demo.rows():
        for address in map(ip_address, (row["SourceIP"], row["DestinationIP"])):
            assert address.is_multicast or not address.is_global
        name = row["DestinationHostName"]
        assert not name or name.endswith((".example.com", ".example.net", ".example.org"))


def test_the_endpoint_table_tells_the_same_connections(demo: Demo) -> None:
    firewall = {(row["SourceIP"], row["SourcePort"], row["DestinationIP"]) for row in demo.rows()}
    endpoint = [
        (r["LocalIP"], r["LocalPort"], r["RemoteIP"]) for r in demo.rows("devicenetworkevents")
    ]

    assert len(endpoint) > 100
    # A connection that ends after midnight is in the endpoint's day only.
    assert sum(row in firewall for row in endpoint) >= 0.98 * len(endpoint)


@pytest.mark.slow
def test_seven_days_are_between_100_and_150_megabytes(tmp_path: Path) -> None:
    began = time.perf_counter()
    week = make(tmp_path, last_day=WEDNESDAY)
    seconds = time.perf_counter() - began
    logging.getLogger(__name__).info("%.0f MB in %.1f s", week.key.bytes / 1e6, seconds)

    assert len(week.key.days) == 7 and week.key.days[-1] == WEDNESDAY.isoformat()
    assert 100e6 <= week.key.bytes <= 150e6
