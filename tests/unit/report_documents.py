"""Documents to report on, and a reader of the page that says what it is made of."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from rich.console import Console

from workbench.report import render_terminal

Json = dict[str, Any]
DAY = datetime(2025, 11, 3, tzinfo=UTC).timestamp()
VOID = {"meta"}
INLINE = {"span", "a", "code", "strong"}


class Page(HTMLParser):
    """What a page is made of, and whether its elements nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == [], "an element was left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INLINE:
            self.words += " "
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join(self.words.split())

    def shapes(self) -> set[tuple[str, str]]:
        """(element, attribute) of everything on the page; ("p", "") is a p."""
        pairs = {(tag, name) for tag, attributes in self.elements for name in attributes}
        return pairs | {(tag, "") for tag, _ in self.elements}

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def finding(number: int, score: float = 0.9, **more: object) -> Json:
    return {
        "finding_id": f"finding-{number:05d}",
        "hunt": "beaconing",
        "run_id": "20251109-beaconing-soc-1a2b3c4d",
        "severity": "High" if score >= 0.9 else "Medium" if score >= 0.7 else "Low",
        "score": score,
        "sub_scores": {"timing": 0.98, "Persistence": 0.5, "unknown": None},
        "title": f"Beacon {number} to c2-{number}.example",
        "entities": {
            "SrcIpAddr": "10.1.2.3",
            "DstIpAddr": "203.0.113.7",
            "DstHostname": f"c2-{number}.example",
            "DstPortNumber": 443,
        },
        "evidence": {
            "Events": 3,
            "IntervalSeconds": 300.0,
            "MadSeconds": 1.25,
            "EventTimes": [DAY, DAY + 6 * 3600, DAY + 86_400],
        },
        "first_seen": "2025-11-03T00:00:00Z",
        "last_seen": "2025-11-04T00:00:00Z",
        "suppressed": False,
    } | more


def incident(number: int, **more: object) -> Json:
    return {
        "id": f"incident-{number}",
        "number": number,
        "title": f"Beacon {number} to c2-{number}.example",
        "severity": "High",
        "status": "New",
        "labels": ["Tidehunt", {"labelName": "beaconing"}],
        "url": f"https://portal.azure.com/#asset/Incident/{number}",
    } | more


def document(**more: object) -> Json:
    return {
        "generated": "2025-11-10T00:03:12+00:00",
        "home": "/home/analyst/.tidehunt/demo",
        "workspaces": ["contoso-soc"],
        "runs": [
            {
                "run_id": "20251109-beaconing-soc-1a2b3c4d",
                "hunt": "beaconing",
                "workspace": "contoso-soc",
                "window": {"start": "2025-10-20T00:00:00Z", "end": "2025-11-10T00:00:00Z"},
                "slot": "2025-11-09",
                "status": "held",
                "attempt": 2,
                "reason": "the role has not reached it yet",
                "code_hash": "9f31c0ffee12ab34",
            }
        ],
        "findings": [finding(1), finding(2, 0.75), finding(3, 0.5, suppressed=True)],
        "incidents": [incident(1), incident(2, status="Closed")],
        "coverage": [
            {
                "run_id": "20251109-beaconing-soc-1a2b3c4d",
                "hours_planned": 168,
                "hours_read": 165,
                "hours_missing": ["2025110503", "2025110504", "2025110700"],
                "tables": {
                    "commonsecuritylog": {
                        "blobs": 1984,
                        "lines": 412_303,
                        "rows": 412_287,
                        "dropped": 16,
                        "empty_blobs": 1,
                        "unknown_columns": ["DeviceCustomFoo"],
                        "nulls": {"DestinationHostName": 0.63},
                    }
                },
                "ignored_tables": ["mytable_cl"],
            }
        ],
        "timings": [{"stage": "session", "seconds": 4.0}, {"stage": "copy", "seconds": 12.0}],
        "answer_key": {
            "implants": [
                {
                    "name": "steady",
                    "SrcIpAddr": "10.1.2.3",
                    "DstIpAddr": "203.0.113.7",
                    "DstPortNumber": 443,
                    "story": "every five minutes",
                    "found": True,
                    "severity": "High",
                },
                {"name": "slow", "DstIpAddr": "203.0.113.8", "found": False},
            ],
            "benign": [
                {"name": "ntp", "DstIpAddr": "192.0.2.1", "flagged": False},
                {"name": "updates", "DstIpAddr": "192.0.2.2", "flagged": True},
            ],
        },
        "notes": ["The clock of fw-2 is ahead."],
    } | more


def terminal(doc: Json, **options: Any) -> str:
    out = io.StringIO()
    render_terminal(doc, Console(file=out, width=80, **options))
    return out.getvalue()
