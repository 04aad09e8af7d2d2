"""What the data plane costs: python -m benchmarks.plane read|daily|growth|startup|skew.

Prints seconds, on the clock and of all processors, and ratios of two things measured in one run;
the exit code is 1 when a target is missed. Every measurement has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.plane import skew, startup
from benchmarks.plane.lake import WARM, BenchLake
from benchmarks.plane.measure import BOTH, Bench, Target, bytes_below

Options = argparse.Namespace


def _filled(options: Options, folder: str, days: int, rows: int) -> tuple[Bench, list[str]]:
    """A bench over so many days, and a small lake beside them to warm up on."""
    lake = BenchLake(Path(folder))
    size = lake.fill(days, rows)
    BenchLake(lake.folder, WARM).fill(2, 3_000)
    print(f"{days} days x {rows} rows, {288 * days} blobs, {size / 1e6:.0f} MB", flush=True)
    return Bench(lake, options.memory), lake.day_keys()


def read(options: Options, folder: str) -> tuple[Bench, list[Target]]:
    """JSON and the copy of it, read and written in every way."""
    bench, days = _filled(options, folder, options.days + 1, options.rows)
    past, window = days[:-1], days[1:]
    bench.cat("cat", window)
    base = bench.spark("Spark, JSON, seven columns, day folders", "narrow", window)
    if options.all:
        bench.spark("the same, Spark's default cost of opening", "narrow_open_cost", window)
        bench.spark("the same, a list of leaf folders", "narrow_leaves", window)
        bench.spark("the same, schema inferred", "inferred", window)
        bench.spark("as the notebook reads: inferred, a read a day", "notebook_reads", window)
    bench.duckdb("DuckDB, JSON, seven columns", window)
    # Without the last two days, which the daily run of the last one copies and merges.
    first = bench.spark("first copy", "copy", past)
    size, copied = _sizes(bench, past)
    by_hour = bench.spark("seven columns of the copy by the hour", "read_copy", past)
    bench.spark(f"merging {len(past) - 1} days", "copy", past)
    merged = bench.spark("seven columns of the copy, days merged", "read_copy", past)
    daily = bench.spark("copy of one new day, merging of another", "copy", window)
    after = bench.spark("seven columns of the copy, the next day", "read_copy", window)
    print(f"\ncopy by the hour: {copied / size:.1%} of the JSON", flush=True)
    print(f"by the day / by the hour: {merged.cpu / by_hour.cpu:.2f} CPU")
    return bench, [
        Target(
            "reading side of a daily run / narrow read", (daily + after).cpu / base.cpu, 0.4, 0.2
        ),
        Target("first copy / narrow read", first.cpu / base.cpu * _share(window, past), 4.0, 2.5),
    ]


def _share(of: Sequence[str], to: Sequence[str]) -> float:
    return len(of) / len(to)


def _sizes(bench: Bench, days: Sequence[str]) -> tuple[int, int]:
    """Bytes of JSON of these days, and of all that was copied."""
    state = bench.lake.folder / "state" / "tables" / bench.lake.key
    return sum(path.stat().st_size for path in bench.lake.files(days)), bytes_below(state)


def daily(options: Options, folder: str) -> tuple[Bench, list[Target]]:
    """A whole daily run with its copy, and the same hunt on JSON."""
    bench, days = _filled(options, folder, options.days + 1, options.rows)
    past, window = days[:-1], days[1:]
    bench.spark("(first copy)", "copy", past)
    bench.spark("(merging)", "copy", past)
    ours = bench.spark("daily run: copy, merge, hunt, coverage", "hunt", window)
    raw = bench.spark("the same hunt from JSON, no coverage", "hunt_raw", window)
    one = bench.spark("the notebook, one day", "notebook", window[-1:])
    notebook = bench.spark("the notebook, all days read, one judged", "notebook", window)
    return bench, [
        Target("daily run / the same from JSON", ours.cpu / raw.cpu, 0.5, 0.25),
        Target("daily run / the notebook on one day, wall", ours.wall / one.wall, 0.4),
        Target("daily run / the notebook with all days", ours.cpu / notebook.cpu, 0.04),
    ]


def growth(options: Options, folder: str) -> tuple[Bench, list[Target]]:
    """Twice the days with the copy present, and four times the rows."""
    bench, days = _filled(options, folder, 2 * options.days, options.rows)
    half = days[options.days :]
    # A job merges a month at most.
    for _ in range(3):
        bench.spark("(copy, merging)", "copy", days[:-1])
    new = bench.spark("copy of one new day, merging of another", "copy", days)
    one, two = bench.least(
        options.repeat,
        (f"hunt over {len(half)} days", "hunt", half),
        (f"hunt over {len(days)} days", "hunt", days),
    )
    targets = [Target("lookback twice as long", two.cpu / one.cpu, 1.6)]
    print(f"with the new day's copy: {(new + two).cpu / (new + one).cpu:.2f} CPU", flush=True)
    for times in options.times:
        with tempfile.TemporaryDirectory(dir=folder) as more:
            other, few = _filled(options, more, 3, options.rows * times)
            other.memory_mb = 1024
            other.took = bench.took
            took = other.spark(f"first hunt over 3 days, rows x{times}, 1 GB", "hunt", few)
        base = bench.took.setdefault("rows x1", took)
        if took is not base:
            what = f"rows x{times}"
            targets.append(Target(what, took.cpu / base.cpu, 1.125 * times))
    return bench, targets


BENCHES: Mapping[str, Callable[[Options, str], tuple[Bench, list[Target]]]] = {
    "read": read,
    "daily": daily,
    "growth": growth,
    "startup": startup.startup,
    "skew": skew.skew,
}


def main() -> int:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plane", description=__doc__)
    parser.add_argument("bench", choices=sorted(BENCHES))
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--rows", type=int, default=50_000, help="a day")
    parser.add_argument("--times", type=int, nargs="*", default=[1, 4, 16], help="growth: rows")
    parser.add_argument("--repeat", type=int, default=3, help="growth: takes the best of so many")
    parser.add_argument("--events", type=int, default=10_000_000, help="skew: of one pair")
    parser.add_argument("--pairs", type=int, default=2_000_000, help="skew: of one event each")
    parser.add_argument("--memory", type=int, default=2048, help="MB of the driver")
    parser.add_argument("--all", action="store_true", help="read: slow ways of reading as well")
    parser.add_argument("--json", type=Path, help="write what was measured here")
    parser.add_argument(
        "--pool", action="store_true", help="both of Java's compilers, as for a large job"
    )
    options = parser.parse_args()
    if options.pool:
        os.environ[BOTH] = "1"
    with tempfile.TemporaryDirectory(prefix="tidehunt-bench-") as folder:
        bench, targets = BENCHES[options.bench](options, folder)
    base = "Spark, JSON, seven columns, day folders"
    print("\n" + "\n".join(bench.table(base if base in bench.took else next(iter(bench.took)))))
    print("\n" + "\n".join(map(str, targets)))
    if options.json:
        took = {name: vars(one) for name, one in bench.took.items()}
        options.json.write_text(json.dumps(took, indent=1) + "\n", encoding="utf-8")
    return any(target.ratio > target.most for target in targets)


if __name__ == "__main__":
    sys.exit(main())
