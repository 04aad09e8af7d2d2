"""`python -m tests.golden NAME`: the ledger that this code writes, kept in tests/golden/NAME/.

To be run with the code that is about to become the previous one, before a change of documents.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden.ledger import text, written

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Write the set of this name. A set that is there already is what an older code wrote."""
    if len(arguments) != 1:
        print("usage: python -m tests.golden NAME, e.g. the version that is about to change")
        return 2
    folder = HERE / arguments[0]
    if folder.exists():
        print(f"{folder} is there already: golden files are written once")
        return 1
    folder.mkdir()
    (folder / "ledger.json").write_text(text(written()), encoding="utf-8")
    print(f"written: {folder / 'ledger.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
