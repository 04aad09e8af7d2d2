"""Folders of hunts: one bad spec spares the rest, and nothing is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.hunt_specs import load_folder, load_folders

HUNTS = Path(__file__).parents[2] / "spark" / "hunts"
GUID = "8c1f6a52-3f2e-4d0b-9a68-5a7f0b0e4c11"
SPEC = f"""\
id: {GUID}
name: Rare beacons
version: 1.2.0
status: live
description: A host that calls the same place again and again.
severity: {{Medium: 0.7}}
tactics: [CommandAndControl]
views: [NetworkSession]
schedule: "0 4 * * *"
lookback_days: 14
finding_key: [SrcIpAddr, DstIpAddr]
"""


def write(folder: Path, module: str, text: str = SPEC, pair: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{module}.yaml"
    path.write_text(text, encoding="utf-8")
    if pair:
        path.with_suffix(".py").write_text("", encoding="utf-8")
    return path


def test_one_bad_spec_spares_the_rest(tmp_path: Path) -> None:
    write(tmp_path, "good_one")
    bad = write(tmp_path, "bad_one", SPEC.replace("lookback_days", "lookback_day"))
    lonely = write(tmp_path, "lonely_one", SPEC.replace("8c1f", "8c2f"), pair=False)
    (tmp_path / "old_one.yml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "latin_one.yaml").write_bytes(b"name: x\nid: \xe9\n")
    (tmp_path / "latin_one.py").touch()
    (tmp_path / "folder_one.yaml").mkdir()
    (tmp_path / "folder_one.py").touch()
    (tmp_path / "notes.txt").touch()

    specs, errors = load_folder(tmp_path)

    assert [spec.module for spec in specs] == ["good_one"]
    messages = {Path(error.where.split(".y")[0]).name: str(error) for error in errors}
    assert set(messages) == {"bad_one", "lonely_one", "old_one", "latin_one", "folder_one"}
    assert f"({bad}:10)" in messages["bad_one"]
    assert str(lonely) in messages["lonely_one"] and "lonely_one.py" in messages["lonely_one"]
    assert "name it old_one.yaml" in messages["old_one"]
    assert "no UTF-8" in messages["latin_one"] and "latin_one.yaml:2" in messages["latin_one"]
    assert "cannot be read" in messages["folder_one"]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "marked_one", "\ufeff" + SPEC)

    specs, errors = load_folder(tmp_path)

    assert len(specs) == 1 and not errors


def test_a_file_above_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    write(tmp_path, "huge_one", "#" + "ä" * 2_000_000)

    [error] = load_folder(tmp_path)[1]

    assert "more than 64 kB" in error.what


def test_a_folder_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    write(tmp_path / "mine", "beaconing")

    specs, errors = load_folders([tmp_path / "mine", tmp_path / "gone"])

    assert len(specs) == 1
    assert "no such folder" in str(errors[0]) and str(tmp_path / "gone") in str(errors[0])


@pytest.mark.parametrize(
    ("module", "text", "what"),
    [
        ("beaconing", SPEC.replace("8c1f", "8c2f"), "module"),
        ("other_one", SPEC.replace(GUID, GUID.upper()), "id"),
    ],
)
def test_a_module_or_guid_twice_names_both_files(
    tmp_path: Path, module: str, text: str, what: str
) -> None:
    first = write(tmp_path / "ours", "beaconing")
    second = write(tmp_path / "theirs", module, text)

    specs, errors = load_folders([tmp_path / "ours", tmp_path / "theirs"])

    assert [spec.source for spec in specs] == [str(first)]
    assert len(errors) == 1
    assert f"{second} has the {what} of {first}" in str(errors[0])


def test_a_guid_twice_in_one_folder_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "one_hunt")
    write(tmp_path, "two_hunt")

    specs, errors = load_folder(tmp_path)

    assert [spec.module for spec in specs] == ["one_hunt"] and len(errors) == 1


def test_the_products_own_hunts_load() -> None:
    specs, errors = load_folder(HUNTS)

    assert [str(error) for error in errors] == []
    assert [spec.module for spec in specs] == sorted(path.stem for path in HUNTS.glob("*.yaml"))
