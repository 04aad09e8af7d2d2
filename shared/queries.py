"""Every query that Tidehunt sends to Log Analytics: constants with typed values in `{...}`.

Nothing that a log says ever becomes part of a query but through `kql_string`.
"""

from __future__ import annotations

import json

COUNT_FINDINGS = "TidehuntFindings_CL | where RunId == {run_id} | distinct FindingId | count"
"""Distinct findings that the table holds for a run: one row, one column `Count`."""

SAMPLE_FINDINGS = "TidehuntFindings_CL | where RunId == {run_id} | take 20"
"""Some rows of a run, with every column that the table has."""

FINDINGS_OF_RUN = (
    "TidehuntFindings_CL | where RunId == {run_id} "
    "| summarize arg_max(TimeGenerated, *) by FindingId"
)
"""The latest row of each finding of a run."""

HEALTH_OF_RUN = (
    "TidehuntHealth_CL | where RunId == {run_id} | summarize arg_max(TimeGenerated, *) by RowId"
)
"""Each health row of a run once, however often it was sent."""

QUERIES = (COUNT_FINDINGS, SAMPLE_FINDINGS, FINDINGS_OF_RUN, HEALTH_OF_RUN)


def kql_string(value: str) -> str:
    """A KQL string literal that holds exactly this value: one token, whatever is in it.

    KQL's double-quoted literals take JSON's escapes (Kusto docs, "The string data type").
    """
    return json.dumps(value, ensure_ascii=True)


def count_findings(run_id: str) -> str:
    """The text of COUNT_FINDINGS for a run."""
    return COUNT_FINDINGS.format(run_id=kql_string(run_id))


def sample_findings(run_id: str) -> str:
    """The text of SAMPLE_FINDINGS for a run."""
    return SAMPLE_FINDINGS.format(run_id=kql_string(run_id))


def findings_of_run(run_id: str) -> str:
    """The text of FINDINGS_OF_RUN for a run."""
    return FINDINGS_OF_RUN.format(run_id=kql_string(run_id))


def health_of_run(run_id: str) -> str:
    """The text of HEALTH_OF_RUN for a run."""
    return HEALTH_OF_RUN.format(run_id=kql_string(run_id))
