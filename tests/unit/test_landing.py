"""Landing copies export blobs whole, counts the rest, and is idempotent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import BadInput
from workbench.landing import containers, land

WORKSPACE = (
    "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.operationalinsights/workspaces/ws"
)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def write_blob(
    root: Path,
    table: str = "am-commonsecuritylog",
    *,
    at: datetime = YESTERDAY,
    name: str = "PT05M.json",
    text: str = "{}\n",
    workspace: str = WORKSPACE,
) -> Path:
    """One export blob below a root; its path."""
    path = (
        root / table / f"WorkspaceResourceId={workspace}" / f"{at:y=%Y/m=%m/d=%d/h=%H}/m=05" / name
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_blobs_are_copied_to_their_own_paths_and_days_are_told(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "home" / "exports"
    path = write_blob(source, text='{"a": 1}\n')
    landing = land(source, exports)
    copied = exports / path.relative_to(source)
    assert copied.read_text("utf-8") == '{"a": 1}\n'
    assert (landing.copied, landing.same, landing.bytes) == (1, 0, 9)
    day = f"{YESTERDAY:%Y%m%d}"
    assert {w: {t: set(d) for t, d in tables.items()} for w, tables in landing.days.items()} == {
        WORKSPACE: {"commonsecuritylog": {day}}
    }
    assert landing.changed == {(WORKSPACE, day)}


def test_landing_identical_content_again_is_no_change(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    write_blob(source)
    land(source, exports)
    before = {path: path.stat().st_mtime_ns for path in exports.rglob("*.json")}
    again = land(source, exports)
    assert (again.copied, again.same, again.changed) == (0, 1, set())
    assert {path: path.stat().st_mtime_ns for path in exports.rglob("*.json")} == before


def test_a_blob_that_has_grown_is_landed_again(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    write_blob(source, text="{}\n")
    land(source, exports)
    path = write_blob(source, text="{}\n{}\n")
    again = land(source, exports)
    assert again.copied == 1
    assert (exports / path.relative_to(source)).read_text("utf-8") == "{}\n{}\n"


def test_names_are_lowered_as_the_exporter_writes_them(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    write_blob(source, "am-CommonSecurityLog", workspace=WORKSPACE.replace("ws", "WS"))
    land(source, exports)
    assert [path.name for path in exports.iterdir()] == ["am-commonsecuritylog"]
    assert "WS" not in next(exports.rglob("*.json")).as_posix()


def test_what_is_no_export_blob_is_counted_and_left_out(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    write_blob(source)
    write_blob(source, name="notes.txt")
    (source / "am-commonsecuritylog" / "readme.md").write_text("x", encoding="utf-8")
    landing = land(source, exports)
    assert (landing.copied, landing.other_files) == (1, 2)
    assert len([path for path in exports.rglob("*") if path.is_file()]) == 1


def test_a_folder_of_the_future_is_landed_and_counted_but_holds_no_day(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    write_blob(source, at=datetime(2099, 1, 1, 3, tzinfo=UTC))
    landing = land(source, exports)
    assert (landing.copied, landing.future, dict(landing.days)) == (1, 1, {})


def test_siblings_and_both_names_of_the_file_are_blobs(tmp_path: Path) -> None:
    source, exports = tmp_path / "source", tmp_path / "exports"
    for name in ("PT05M.json", "PT5M.json", "PT05M_1.json"):
        write_blob(source, name=name)
    assert land(source, exports).copied == 3


def test_containers_are_found_at_a_small_depth(tmp_path: Path) -> None:
    write_blob(tmp_path / "a" / "b")
    (tmp_path / "am-other").mkdir()
    assert [path.name for path in containers(tmp_path)] == ["am-other", "am-commonsecuritylog"]
    assert [path.name for path in containers(tmp_path / "am-other")] == ["am-other"]


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_exports_is_refused_with_the_mend(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "empty"
    if make:
        folder.mkdir()
    with pytest.raises(BadInput) as caught:
        land(folder, tmp_path / "exports")
    assert caught.value.where == str(folder)
    assert caught.value.mend


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_blob(source)
    (tmp_path / "exports").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        land(source, tmp_path / "exports")
    assert "exports" in caught.value.where
