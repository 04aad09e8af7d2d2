"""History that no export rule wrote -> export blobs: `tidehunt import`.

Takes Parquet, as an export job of Log Analytics writes it, and JSON lines, packed or not. Each row
goes by its TimeGenerated to where the exporter would have put it, so that everything behind the
lake (listing, columnar copy, hunts, gaps) works on it as on any export. A blob's number is made of
its content: the same import again is no change, and two imports never write over each other.
"""

from __future__ import annotations

import base64
import filecmp
import gzip
import hashlib
import importlib
import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from shared import contract as c
from shared.errors import BadInput
from workbench.home import unwritable

Row = dict[str, Any]
TIME = "TimeGenerated"
PARQUET = (".parquet",)
LINES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
BATCH_ROWS = 10_000
BUFFERED_BYTES = 64_000_000
FIRST_NUMBER, NUMBERS = 100_000, 900_000
"""Numbers of imported blobs; the exporter counts from 1, and contracts read up to six digits."""
MINUTES = 5


@dataclass
class Imported:
    """What an import did, in rows and blobs."""

    rows: int = 0
    files: int = 0
    blobs: int = 0
    same: int = 0
    """Blobs that were there already."""
    later: int = 0
    """Rows left out since the export has their hour, or a later one than asked for."""
    timeless: Counter[str] = field(default_factory=Counter)
    """File -> rows without a time that can be read: nobody knows where they belong."""
    broken: Counter[str] = field(default_factory=Counter)
    """File -> lines that are no JSON object."""
    first: str = ""
    last: str = ""
    """Hour keys of the oldest and the newest row that came in."""


@dataclass
class Import:
    """One table of one workspace on its way into a tree of `am-*` folders."""

    table: str
    workspace: str
    into: Path
    before: str = ""
    """Hour key: rows of this hour and later are left out; "": none are."""
    progress: Callable[[Imported], None] = lambda _: None
    done: Imported = field(default_factory=Imported)

    def __post_init__(self) -> None:
        self._slots: dict[str, bytearray] = defaultdict(bytearray)
        self._buffered = 0
        self._waiting = self.into.parent / ".importing"

    def run(self, source: Path) -> Imported:
        """Bring in every file at or below `source`.

        BadInput names a file that cannot be read, or says that there is none, or that the disk is
        full; then nothing came in.
        """
        files = list(sources(source))
        shutil.rmtree(self._waiting, ignore_errors=True)
        try:
            self._waiting.mkdir(parents=True)
            for path in files:
                self._take(path)
            self._flush()
            self._move_in()
        except OSError as error:
            raise unwritable(error, error.filename or self.into) from error
        finally:
            shutil.rmtree(self._waiting, ignore_errors=True)
        return self.done

    def _take(self, path: Path) -> None:
        for row in rows_of(path, self.done):
            moment = moment_of(row.get(TIME))
            if moment is None:
                self.done.timeless[str(path)] += 1
            elif self.before and c.hour_key(moment) >= self.before:
                self.done.later += 1
            else:
                self._put(moment, row)
        self.done.files += 1
        self.progress(self.done)

    def _put(self, moment: datetime, row: Row) -> None:
        hour = c.hour_key(moment)
        line = encoded(row, moment)
        self._slots[f"{hour}{moment.minute - moment.minute % MINUTES:02d}"] += line
        self._buffered += len(line)
        self.done.rows += 1
        self.done.first = min(self.done.first or hour, hour)
        self.done.last = max(self.done.last, hour)
        if self._buffered > BUFFERED_BYTES:
            self._flush()
            self.progress(self.done)

    def _flush(self) -> None:
        """Rows wait beside the lake until all are there: a blob comes in whole or not at all."""
        for slot, content in self._slots.items():
            with (self._waiting / slot).open("ab") as file:
                file.write(content)
        self._slots.clear()
        self._buffered = 0

    def _move_in(self) -> None:
        for waiting in sorted(self._waiting.iterdir()):
            hour, minute = waiting.name[:10], waiting.name[10:]
            folder = f"{c.export_hour_folder(self.workspace, hour)}/m={minute}"
            self._settle(waiting, self.into / c.export_container(self.table) / folder)

    def _settle(self, waiting: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in _numbers(waiting):
            target = folder / f"PT05M_{number}.json"
            if not target.exists():
                waiting.replace(target)
                self.done.blobs += 1
                return
            if filecmp.cmp(waiting, target, shallow=False):
                self.done.same += 1
                return


def _numbers(waiting: Path) -> Iterator[int]:
    """The number that a blob's content makes, then those after it: two contents may make one."""
    with waiting.open("rb") as file:
        first = int(hashlib.file_digest(file, "sha256").hexdigest()[:12], 16)
    return (FIRST_NUMBER + (first + more) % NUMBERS for more in range(NUMBERS))


def first_exported(exports: Path, table: str, workspace: str) -> str:
    """Hour key of the oldest blob that the exporter itself wrote of a table; "" without any."""
    container = exports / c.export_container(table)
    hours = [
        blob.hour
        for path in container.rglob("*.json")
        if not _is_imported(path)
        for blob in [c.parse_export_blob(container.name, path.relative_to(container).as_posix())]
        if blob is not None and blob.workspace == workspace.lower()
    ]
    return min(hours, default="")


def _is_imported(path: Path) -> bool:
    number = path.stem.rpartition("_")[2]
    return number.isdigit() and int(number) >= FIRST_NUMBER


def sources(source: Path) -> Iterator[Path]:
    """Parquet files and files of JSON lines at or below a path, in order. BadInput without any."""
    found = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    known = [path for path in found if path.name.lower().endswith((*PARQUET, *LINES))]
    if not known:
        raise BadInput(
            "nothing to import",
            where=str(source),
            mend=f"name a file or folder with {', '.join((*PARQUET, *LINES))}",
        )
    yield from known


def rows_of(path: Path, done: Imported) -> Iterator[Row]:
    """The rows of one file; lines that are no JSON object are counted. BadInput: it is broken."""
    is_parquet = path.name.lower().endswith(PARQUET)
    try:
        yield from _parquet_rows(path) if is_parquet else _line_rows(path, done)
    except (ValueError, gzip.BadGzipFile, EOFError) as error:  # Arrow's are ValueErrors
        raise BadInput(
            f"cannot be read: {' '.join(str(error).split())[:200]}",
            where=str(path),
            mend="fetch the file again, or move it away; nothing came in",
        ) from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    # Imported here: every other command would wait for it.
    pyarrow, parquet = map(importlib.import_module, ("pyarrow", "pyarrow.parquet"))
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            # Nanoseconds would come as another type, or not at all.
            fields = [
                field.with_type(pyarrow.timestamp("us", field.type.tz))
                if pyarrow.types.is_timestamp(field.type)
                else field
                for field in batch.schema
            ]
            rows = pyarrow.Table.from_batches([batch])
            yield from rows.cast(pyarrow.schema(fields), safe=False).to_pylist()


def _line_rows(path: Path, done: Imported) -> Iterator[Row]:
    packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        for number, line in enumerate(file):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row
            else:
                done.broken[str(path)] += 1


def moment_of(value: Any) -> datetime | None:
    """A row's TimeGenerated in UTC; a time without a zone is UTC, as Log Analytics means it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def encoded(row: Row, moment: datetime) -> bytes:
    """A row as the exporter writes it: one line of JSON, nulls left out, times with a `Z`."""
    kept = {name: _finite(value) for name, value in row.items() if value is not None}
    kept[TIME] = _written(moment)
    return json.dumps(kept, default=_plain, allow_nan=False).encode() + b"\n"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _finite(value: Any) -> Any:
    """The value with null for what JSON does not know, however deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _written(moment_of(value) or value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
