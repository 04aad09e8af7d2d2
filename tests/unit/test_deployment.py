"""What a turn works with: which hunts read what, how much room is left, reference lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.contract import workspace_key
from shared.deployment import load_references
from shared.errors import BadInput, Transient
from shared.messages import Announce
from tests.unit import house
from tests.unit.house import OTHER, TABLE, WORKSPACE, spec

HUNTS = [
    spec(module="live_one"),
    spec(module="shadow_one", status="shadow", tables=("vmconnection",)),
    spec(module="draft_one", status="draft", tables=("syslog",)),
    spec(module="off_one", status="disabled"),
    spec(module="by_view", tables=(), views=("NetworkSession",)),
]


def test_hunts_are_known_by_the_tables_that_they_read() -> None:
    deployment = house.build(HUNTS).deployment
    on_table = ["live_one", "off_one", "by_view"]
    assert [hunt.module for hunt in deployment.hunts_on(TABLE)] == on_table
    assert [hunt.module for hunt in deployment.hunts_on("vmconnection")] == [
        "shadow_one",
        "by_view",
    ]
    assert [hunt.module for hunt in deployment.hunts_on("syslog")] == ["draft_one"]
    assert {"syslog", TABLE, "vmconnection", "devicenetworkevents"} < deployment.tables()


def test_a_hunt_is_known_by_its_module_whatever_its_status() -> None:
    deployment = house.build(HUNTS).deployment
    assert deployment.hunt("off_one") is HUNTS[3]
    assert deployment.hunt("nobody") is None


def test_workspaces_are_known_by_their_key() -> None:
    deployment = house.build(workspaces=f"{WORKSPACE};{OTHER}").deployment
    assert deployment.workspaces() == {workspace_key(w): w for w in (WORKSPACE, OTHER)}


def test_an_announcement_never_stops_anything() -> None:
    home = house.build()
    message = Announce("id-1", "Tidehunt.RunEnded", "runs/x", {"a": 1})
    assert home.deployment.announce(message)
    assert home.notifier.events == [("id-1", "Tidehunt.RunEnded", "runs/x", {"a": 1})]

    def refuse(*_: str) -> None:
        raise Transient("503")

    home.wire.hook = refuse
    assert not home.deployment.announce(message)
    assert replace(home.deployment, notifier=None).announce(message)


def test_there_is_room_while_one_more_call_ends_in_time() -> None:
    home = house.build()  # a call may take 10 s
    turn = home.turn(45)
    for seconds, room in ((0, True), (35, True), (35.001, False), (60, False)):
        home.clock.now = house.START + timedelta(seconds=seconds)
        assert turn.has_room() is room
    assert turn.later(60) == home.clock() + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("turn", "share", "seconds"), [(45, 0.5, 22.5), (20, 0.5, 15), (12, 0.5, 12), (45, 1.0, 45)]
)
def test_a_part_of_a_turn_has_room_for_one_call_at_least(
    turn: float, share: float, seconds: float
) -> None:
    home = house.build()
    part = home.turn(turn).part(share)
    assert part.until == home.clock() + timedelta(seconds=seconds)
    assert part.has_room()


# --- reference lists --------------------------------------------------------------------------


def test_lists_are_read_from_yaml_or_json_and_are_empty_otherwise(tmp_path: Path) -> None:
    (tmp_path / "allow_list.yaml").write_text("- destination: 192.0.2.7\n", "utf-8")
    (tmp_path / "assets.json").write_text('[{"host": "é"}]', "utf-8")
    names = ("allow_list", "assets", "indicators")
    assert load_references(str(tmp_path), names) == {
        "allow_list": [{"destination": "192.0.2.7"}], "assets": [{"host": "é"}], "indicators": [],
    }  # fmt: skip
    assert load_references("", names) == {name: [] for name in names}
    assert load_references(str(tmp_path / "nowhere"), ("allow_list",)) == {"allow_list": []}


@pytest.mark.parametrize(
    "content",
    ["- [unclosed", "destination: 192.0.2.7", "- just text",
     "- !!python/object/apply:os.system [id]", "", "\x00", "- &a [*a]"],
)  # fmt: skip
def test_a_list_that_cannot_be_used_names_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "allow_list.yaml").write_text(content, "utf-8")
    with pytest.raises(BadInput) as error:
        load_references(str(tmp_path), ("allow_list",))
    assert "allow_list.yaml" in str(error.value) and error.value.mend


def test_bytes_that_are_no_text_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "allow_list.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput):
        load_references(str(tmp_path), ("allow_list",))
