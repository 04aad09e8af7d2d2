"""A seeded demo tenant in the layout of Log Analytics data export, and its answer key."""

from workbench.samples.demo import AnswerKey, make_demo
from workbench.samples.tenant import WORKSPACE

__all__ = ["WORKSPACE", "AnswerKey", "make_demo"]
