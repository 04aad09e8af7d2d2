"""The strict reader of YAML: what it refuses and says, and that nothing hostile costs much."""

from __future__ import annotations

import time
import tracemalloc
from datetime import date

import pytest
import yaml

from shared.errors import BadInput
from shared.hunt_specs import parse
from shared.hunt_yaml import SPEC_VALUES, read_yaml


def refusal(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse(text, "f.yaml", "beaconing")
    return str(caught.value)


HOSTILE = {
    "billion laughs": "a0: &a0 [x]\n"
    + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    "nested lists": "[" * 30_000,
    "nested mappings": "{a: " * 15_000,
    "nested blocks": "\n".join(" " * depth + "a:" for depth in range(300)),
    "nested dashes": "- " * 30_000,
    "many values": "- a\n" * 16_000,
    "many keys": "\n".join(f"k{n}: 1" for n in range(6_000)),
    "many numbers": "[" + "1," * 32_000 + "]",
    "one key many times": "a: 1\n" * 13_000,
    "a number in base sixty": "id: " + "1:" * 30_000 + "1",
    "a number of many digits": "id: " + "9" * 60_000,
    "a long key": "k" * 60_000 + ": 1",
    "more than 64 kB": "# " + "x" * 70_000,
    "more than 64 kB of UTF-8": "# " + "ä" * 40_000,
    "tabs": "\t" * 60_000,
    "quotes": "'" * 60_000,
    "a python object": "id: !!python/object/apply:os.system [id]",
    "a control character": "id: \x00",
    "half a character": "id: \ud800",
    "a merge key": "<<: {id: 1}",
    "a list as a key": "? [a]\n: 1",
    "an impossible date": "id: 2026-13-99",
    "two documents": "id: x\n---\nid: x",
    "nothing": "",
    "a comment": "# nothing",
    "a list": "- a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_within_50_ms_and_50_mb(name: str) -> None:
    took, message = min(timed_refusal(HOSTILE[name]) for _ in range(3))
    tracemalloc.start()
    refusal(HOSTILE[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "f.yaml:" in message and len(message) < 1_000
    assert took < 0.05
    assert peak < 50e6


def timed_refusal(text: str) -> tuple[float, str]:
    """Seconds of the processor, since other processes use this machine too, and what it says."""
    began = time.thread_time()
    message = refusal(text)
    return time.thread_time() - began, message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1", "has an anchor or alias"),
        ("a: *x", "has an anchor or alias"),
        ("a: !!str 1", "has a tag"),
        ("a: {b: 1, b: 2}", "'a.b' is there twice"),
        ("a: [1, 2", "is no YAML"),
        ("a:\n b: 1\n  c: 2", "(f.yaml:3)"),
        ("1: a", "has the key the int '1'"),
        ("\n".join("- x" for _ in range(SPEC_VALUES + 1)), f"has more than {SPEC_VALUES} values"),
    ],
)
def test_a_fault_of_the_yaml_is_named(text: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_yaml(text, "f.yaml")
    assert says in str(caught.value)


def test_plain_scalars_mean_what_safe_load_says() -> None:
    text = "a: [1, 0x1F, 017, 1_000, 1.5, 1e3, 1.0e+3, .5, yes, Off, ~, 2026-01-02, '1', 1:30]"
    [spots] = read_yaml(text, "f.yaml").mapping().values()

    assert [spot.value for spot in spots.items()] == yaml.safe_load(text)["a"]
    assert date(2026, 1, 2) in [spot.value for spot in spots.items()]
