"""History comes into the lake as the exporter would have written it, once, and counted."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract import parse_export_blob
from shared.errors import BadInput
from tests.unit.test_landing import WORKSPACE, write_blob
from workbench import importing
from workbench.cli import main
from workbench.importing import Import, encoded, first_exported, moment_of

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet")
Json = dict[str, Any]
AT = datetime(2026, 1, 5, 3, 7, 1, 250_000, tzinfo=UTC)
TABLE, CONTAINER = "commonsecuritylog", "am-commonsecuritylog"


def lines(path: Path, *rows: Json) -> Path:
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(minutes: float = 0, **more: Any) -> Json:
    """A row of a firewall."""
    at = AT + timedelta(minutes=minutes)
    return {"TimeGenerated": at.isoformat(), "SourceIP": "10.0.0.5", **more}


def bring(source: Path, into: Path, before: str = "") -> importing.Imported:
    """Import into a lake."""
    return Import(TABLE, WORKSPACE, into, before).run(source)


def held(into: Path) -> dict[str, list[Json]]:
    """Hour and minutes of each blob -> its rows; every blob is one that the app accepts."""
    found: dict[str, list[Json]] = {}
    for path in sorted((into / CONTAINER).rglob("*.json")):
        blob = parse_export_blob(CONTAINER, path.relative_to(into / CONTAINER).as_posix())
        assert blob is not None and (blob.table, blob.workspace) == (TABLE, WORKSPACE)
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found.setdefault(f"{blob.hour} {path.parent.name}", []).extend(rows)
    return found


def test_each_row_goes_to_the_five_minutes_of_its_time(tmp_path: Path) -> None:
    source = tmp_path / "history"
    lines(source / "a.jsonl", row(0, Port=1), row(2.5, Port=2), row(60, Port=3))
    done = bring(source, tmp_path / "exports")
    assert (done.rows, done.blobs, done.same, done.files) == (3, 2, 0, 1)
    assert (done.first, done.last) == ("2026010503", "2026010504")
    ports = {
        slot: [one["Port"] for one in rows] for slot, rows in held(tmp_path / "exports").items()
    }
    assert ports == {"2026010503 m=05": [1, 2], "2026010504 m=05": [3]}


def test_parquet_and_packed_lines_come_in_as_lines_do(tmp_path: Path) -> None:
    rows = [row(n, Port=n, Text=f"t{n}") for n in range(20)]
    lines(tmp_path / "lines" / "rows.json", *rows)
    packed = tmp_path / "packed" / "rows.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress((tmp_path / "lines" / "rows.json").read_bytes()))
    columns = pyarrow.Table.from_pylist(
        [{**one, "TimeGenerated": datetime.fromisoformat(one["TimeGenerated"])} for one in rows]
    )
    (tmp_path / "parquet").mkdir()
    parquet.write_table(columns, tmp_path / "parquet" / "rows.gz.parquet", compression="gzip")
    for kind in ("lines", "packed", "parquet"):
        assert bring(tmp_path / kind, tmp_path / f"into-{kind}" / "exports").rows == 20
    first, second, third = (
        held(tmp_path / f"into-{k}" / "exports") for k in ("lines", "packed", "parquet")
    )
    assert first == second == third and sum(map(len, first.values())) == 20


def test_the_same_again_is_no_change_and_another_import_stands_beside(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    one, two = lines(tmp_path / "one.json", row(0)), lines(tmp_path / "two.json", row(1))
    bring(one, exports)
    before = {path: path.stat().st_mtime_ns for path in exports.rglob("*.json")}
    again = bring(one, exports)
    assert (again.blobs, again.same) == (0, 1)
    assert {path: path.stat().st_mtime_ns for path in exports.rglob("*.json")} == before
    assert bring(two, exports).blobs == 1
    assert [len(rows) for rows in held(exports).values()] == [2]
    assert len(list(exports.rglob("*.json"))) == 2


def test_two_contents_of_one_number_are_both_kept(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    bring(lines(tmp_path / "one.json", row(0)), exports)
    (blob,) = exports.rglob("*.json")
    blob.write_text('{"other": 1}\n', encoding="utf-8")
    assert bring(tmp_path / "one.json", exports).blobs == 1
    assert bring(tmp_path / "one.json", exports).same == 1
    assert sum(map(len, held(exports).values())) == 2


def test_what_the_export_wrote_itself_is_left_out(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    write_blob(exports, at=AT + timedelta(hours=2))
    history = lines(tmp_path / "rows.json", row(0), row(112), row(113), row(180))
    before = first_exported(exports, TABLE, WORKSPACE)
    assert before == "2026010505"
    done = bring(history, exports, before)
    assert (done.rows, done.later) == (2, 2)
    assert first_exported(exports, TABLE, WORKSPACE) == before, "an import is no export"


def test_rows_without_a_time_and_lines_without_a_row_are_counted_by_file(tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(row()).encode() + b"\n\n[1]\nhalf a li\n"
        b'{"TimeGenerated": "soon"}\n{"TimeGenerated": 7}\n{"a": 1}\n'
    )
    done = bring(source, tmp_path / "exports")
    assert (done.rows, done.timeless, done.broken) == (1, {str(source): 3}, {str(source): 2})


def test_a_broken_file_is_named_and_nothing_comes_in(tmp_path: Path) -> None:
    lines(tmp_path / "history" / "a.json", row())
    for name in ("b.parquet", "b.json.gz"):
        broken = tmp_path / "history" / name
        broken.write_bytes(b"no such thing")
        with pytest.raises(BadInput, match=f"cannot be read.*{name}") as told:
            bring(tmp_path / "history", tmp_path / "exports")
        assert "nothing came in" in str(told.value)
        assert list(tmp_path.rglob("PT05M*")) == []
        broken.unlink()
    with pytest.raises(BadInput, match="nothing to import"):
        bring(tmp_path / "nowhere", tmp_path / "exports")


def test_values_become_what_the_exporter_writes(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    given = {
        "TimeGenerated": AT.replace(tzinfo=None), "Nothing": None, "Real": float("nan"),
        "Money": Decimal("1.5"), "Raw": b"\x00\xff", "Deep": {"a": [1.0, float("inf")]},
        "At": AT, "Text": "\u2028\ud7ff \x00",
    }  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist([given]), tmp_path / "history" / "x.parquet")
    bring(tmp_path / "history", tmp_path / "exports")
    ((found,),) = held(tmp_path / "exports").values()
    assert found == {
        "TimeGenerated": "2026-01-05T03:07:01.2500000Z", "Real": None, "Money": 1.5,
        "Raw": "AP8=", "Deep": {"a": [1.0, None]}, "At": "2026-01-05T03:07:01.2500000Z",
        "Text": "\u2028\ud7ff \x00",
    }  # fmt: skip


def test_nanoseconds_are_cut(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    nanos = pyarrow.array(
        [int(AT.timestamp()) * 10**9 + 123_456_789], pyarrow.timestamp("ns", "UTC")
    )
    columns = pyarrow.table({"TimeGenerated": nanos})
    parquet.write_table(columns, tmp_path / "history" / "x.parquet", version="2.6")
    bring(tmp_path / "history", tmp_path / "exports")
    ((found,),) = held(tmp_path / "exports").values()
    assert found["TimeGenerated"] == "2026-01-05T03:07:01.1234560Z"


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14, 14))
def test_a_time_is_the_same_moment_however_it_is_written(moment: datetime, hours: int) -> None:
    assert moment_of(moment.replace(tzinfo=None)) == moment == moment_of(moment)
    assert moment_of(moment.isoformat()) == moment_of(f" {moment:%Y-%m-%d %H:%M:%S.%f}Z") or (
        moment.year < 1000
    )
    if 2 < moment.year < 9998:
        assert moment_of(moment.astimezone(timezone(timedelta(hours=hours))).isoformat()) == moment


@given(st.dictionaries(st.text(), st.floats() | st.text() | st.lists(st.floats()) | st.binary()))
def test_any_row_is_one_line_of_json(values: Json) -> None:
    line = encoded(values, AT)
    assert line.count(b"\n") == 1
    assert json.loads(line)["TimeGenerated"] == "2026-01-05T03:07:01.2500000Z"


def test_the_command_says_what_came_in_and_what_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, history = (
        str(tmp_path / "home"),
        lines(tmp_path / "rows.json", row(0), row(500), {"a": 1}),
    )
    ask = ("import", "--home", home, str(history), "--table", "CommonSecurityLog")
    assert main([*ask]) == 2
    assert "--workspace" in capsys.readouterr().err
    assert main([*ask, "--workspace", WORKSPACE, "--before", "2026010511"]) == 0
    told = capsys.readouterr().out
    assert "1 rows of 1 files, 2026010503 to 2026010503" in told
    assert "1 blobs came in, 0 were there already" in told
    assert "1 rows left out: of 2026010511 or later" in told
    assert f"{history}: 1 rows left out, no usable TimeGenerated" in told
    assert main([*ask]) == 0, "the lake has one workspace now"
    assert main([*ask[:-1], "../x"]) == 2


def test_a_tree_to_be_uploaded_is_written_elsewhere(tmp_path: Path) -> None:
    history, tree = lines(tmp_path / "rows.json", row()), tmp_path / "tree"
    ask = ("import", str(history), "--table", TABLE, "--workspace", WORKSPACE.upper())
    assert main([*ask, "--into", str(tree)]) == 0
    assert [len(rows) for rows in held(tree).values()] == [1]
