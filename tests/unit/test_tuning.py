"""Settings from the size of a plan: small jobs stay small, large ones fit into memory."""

from __future__ import annotations

import pytest

from spark import tuning

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("shuffled", "cores", "partitions"),
    [
        (0, 2, 2),
        (0, 8, 2),
        (20_000_000, 8, 3),
        (64_000_000, 8, 8),
        (500_000_000, 8, 8),
        (520_000_000, 2, 10),  # 65 MB would be too much: nine, in whole waves ten
        (520_000_000, 8, 16),
        (8 * GB, 2, 126),
        (8 * GB, 64, 128),
        (10_000 * GB, 8, tuning.MOST_PARTITIONS),
    ],
)
def test_partitions_of_a_shuffle(shuffled: int, cores: int, partitions: int) -> None:
    assert tuning.shuffle_partitions(shuffled, cores) == partitions


@pytest.mark.parametrize(
    ("stale", "cores", "size"),
    [
        (0, 2, tuning.LEAST_SPLIT),
        (125_000_000, 2, 20_833_334),
        (125_000_000, 8, tuning.LEAST_SPLIT),
        (2_640_000_000, 2, tuning.MOST_SPLIT),
        (2_640_000_000, 8, 110_000_000),
    ],
)
def test_json_of_a_task(stale: int, cores: int, size: int) -> None:
    assert tuning.split_bytes(stale, cores) == size


@pytest.mark.parametrize(("window", "adaptive"), [(0, "false"), (GB, "false"), (GB + 1, "true")])
def test_plans_are_made_again_where_that_pays(window: int, adaptive: str) -> None:
    told = tuning.tuned(window, window, 2, serial=True)
    assert told["spark.sql.adaptive.enabled"] == adaptive


def test_folders_are_listed_by_tasks_where_a_folder_costs_a_round_trip() -> None:
    name = "spark.sql.sources.parallelPartitionDiscovery"
    serial, parallel = (tuning.tuned(GB, GB, 8, serial=one) for one in (True, False))
    assert int(serial[f"{name}.threshold"]) > 100_000
    # The hours of a single day are shared already.
    assert int(parallel[f"{name}.threshold"]) < 24
    assert parallel[f"{name}.parallelism"] == "32"
