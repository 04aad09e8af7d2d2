"""Kill the real host over and over: python -m tests.killing [--kills 500] [--seed 1]

Prints how far it is, at which routes of the services the host was killed, then what does not hold;
the exit code is 1 when something does not. From 200 kills on, no route that it uses may be missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.killing.story import Story
from workbench.home import Home

KILLS_A_STORY = 25
"""Then a fresh deployment begins: an old one has fewer new things to lose."""
KILLS_FOR_ALL = 200


def main() -> int:
    """Tell stories until the host was killed so often; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the first story; the next has +1")
    options = parser.parse_args()
    began, broken, left, seed = time.monotonic(), [], options.kills, options.seed
    hit: set[str] = set()
    used: set[str] = set()
    while left > 0:
        kills = min(left, KILLS_A_STORY)
        with tempfile.TemporaryDirectory() as folder:
            story = Story(Home(Path(folder) / "home"), kills, seed, hit=hit, seen=used)
            broken += [f"seed {seed}: {one}" for one in story.tell()]
        hit, used = story.hit, story.seen
        left, seed = left - kills, seed + 1
        print(f"{options.kills - left} kills, {time.monotonic() - began:.0f} s", flush=True)
    for route in sorted(used):
        print(f"{'killed at' if route in hit else 'never at '} {route}")
    if options.kills >= KILLS_FOR_ALL and used - hit:
        broken.append(f"{len(used - hit)} routes were never hit")
    for one in broken:
        print(one)
    print(f"{options.kills} kills, {len(broken)} violations")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
