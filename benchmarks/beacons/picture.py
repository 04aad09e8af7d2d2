"""The figures of many seeds as one picture: scores, recall against jitter, against connections."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.beacons.scoring import BACKGROUND, CALLS

JITTERS = {0: "fixed", **{n: f"jitter {n} %" for n in (10, 20, 30, 50, 70, 90)}}
SHOWN = {
    "hunt, Medium": ("the hunt, Medium and above", "#0b6e4f", "o-"),
    "RITA-like": ("a score like RITA's, at 1 in 10,000", "#c46210", "s--"),
    "notebook, ranked": ("the notebook, at 1 in 10,000", "#5b5b8c", "^:"),
}
"""Detector -> how it is called, drawn and marked."""
GROUPS = {
    "implants": (("implant",), "#b3202c"),
    "clocks of one or two hosts": (("rare", "fan-out"), "#c46210"),
    "clocks that hosts share": (("shared",), "#2f6db3"),
    "people, servers, hard negatives": ((BACKGROUND, "hard"), "#8a8a8a"),
}
"""Name -> how the kinds of its pairs begin, and its colour."""


def needed() -> None:
    """Say that matplotlib is missing before anything is measured. SystemExit when it is."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("--picture needs matplotlib: pip install matplotlib")


def draw(figures: Mapping[str, Any], bands: Mapping[str, float], path: Path) -> None:
    """Draw what `--json` writes; `bands` are the hunt's severities with their least scores."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    plots = importlib.import_module("matplotlib.pyplot")
    whole, (scores, jitter, calls) = plots.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    _scores(scores, figures["distribution"], bands)
    recall = {name: one["recall"] for name, one in figures["detectors"].items()}
    _recall(jitter, recall, {f"{n} %": kind for n, kind in JITTERS.items()})
    jitter.set(title="Recall by jitter", xlabel="jitter of the implant's timer")
    _recall(calls, figures["by_calls"], {calls: calls for calls in CALLS.values()})
    calls.set(title="Recall by connections", xlabel="connections of the implant in 21 days")
    jitter.legend(loc="center right", frameon=False)
    whole.savefig(path, dpi=100, metadata={"Software": None})


def _scores(axes: Any, distribution: Mapping[str, list[int]], bands: Mapping[str, float]) -> None:
    """What share of each group's pairs has which score; logarithmic, since most have none."""
    for name, (prefixes, colour) in GROUPS.items():
        kinds = [kind for kind in distribution if kind.startswith(prefixes)]
        counts = [
            sum(column) for column in zip(*(distribution[kind] for kind in kinds), strict=True)
        ]
        shares = [100 * count / max(1, sum(counts)) for count in counts]
        edges = [n / len(shares) for n in range(len(shares) + 1)]
        axes.stairs(shares, edges, label=name, color=colour, linewidth=1.8)
    for name, least in bands.items():
        axes.axvline(least, color="black", linewidth=0.8, linestyle=":")
        axes.text(least + 0.005, 130, name, fontsize=8, va="bottom")
    axes.set(yscale="log", ylim=(0.001, 120), xlim=(0, 1), xlabel="score", ylabel="% of its pairs")
    axes.set_title("Scores of the hunt", pad=18)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncols": 2}
    axes.legend(frameon=False, fontsize=8, **below)


def _recall(axes: Any, recall: Mapping[str, Mapping[str, float]], at: Mapping[str, str]) -> None:
    """A line for each detector; `at`: label -> name in its recalls."""
    for name, (told, colour, mark) in SHOWN.items():
        known = [(label, recall[name][key]) for label, key in at.items() if key in recall[name]]
        axes.plot(*zip(*known, strict=True), mark, label=told, color=colour)
    axes.set(ylim=(-0.03, 1.05), ylabel="share found")
    axes.grid(axis="y", alpha=0.3)
