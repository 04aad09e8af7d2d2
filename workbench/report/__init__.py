"""The report of a hunt: one self-contained page, and the same in the terminal."""

from workbench.report.explain import explain
from workbench.report.page import render_html
from workbench.report.status import render_status
from workbench.report.terminal import render_terminal

__all__ = ["explain", "render_html", "render_status", "render_terminal"]
