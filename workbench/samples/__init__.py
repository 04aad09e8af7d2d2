"""A seeded demo tenant in the layout of Log Analytics data export, and its answer key."""

from workbench.samples.demo import ANSWER_KEY, AnswerKey, make_demo
from workbench.samples.tenant import WORKSPACE

__all__ = ["ANSWER_KEY", "WORKSPACE", "AnswerKey", "make_demo"]
