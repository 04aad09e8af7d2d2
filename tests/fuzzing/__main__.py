"""Feed every parser for minutes: python -m tests.fuzzing [--minutes 30] [--only "manifest"]

Prints how many inputs each was given; the exit code is 1 when one of them did not hold.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.contract.scripted_server import Script, script
from tests.fuzzing.run import feed
from tests.fuzzing.targets import TARGETS
from workbench.emulators.tls import certificate

EXAMPLES = 2000
"""Inputs of a round; each round draws others."""


def main() -> int:
    """Feed every target for its minutes; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="for each parser")
    parser.add_argument("--only", choices=TARGETS, help="this parser alone")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a line for almost every input
    names = [options.only] if options.only else list(TARGETS)
    with tempfile.TemporaryDirectory() as folder:
        made = certificate(Path(folder) / "authority")
        os.environ.update(REQUESTS_CA_BUNDLE=str(made.ca), SSL_CERT_FILE=str(made.ca))
        with script(made) as server:
            held = [_fed(name, server, options.minutes * 60) for name in names]
    return 0 if all(held) else 1


def _fed(name: str, server: Script, seconds: float) -> bool:
    until, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        try:
            feed(TARGETS[name], server, EXAMPLES)
        except Exception:  # whatever an input made of it is what we are here for
            traceback.print_exc()
            print(f"{name}: does not hold, after {rounds} rounds", flush=True)
            return False
        rounds += 1
    print(f"{name}: holds, {rounds} rounds of {EXAMPLES} inputs at most", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
