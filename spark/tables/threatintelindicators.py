"""ThreatIntelIndicators: indicators in the shape of STIX, the successor of the older table.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/threatintelindicators.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="threatintelindicators",
    columns=columns(
        string=(
            "AzureTenantId Id LastUpdateMethod ObservableKey ObservableValue Pattern "
            "Source Tags WorkspaceId"
        ),
        int="Confidence",
        bool="IsActive IsDeleted Revoked",
        datetime="Created Modified ValidFrom ValidUntil",
        dynamic="AdditionalFields Data",
    ),
    kept=(
        "TimeGenerated",
        "Id",
        "IsActive",
        "IsDeleted",
        "Revoked",
        "Confidence",
        "ValidFrom",
        "ValidUntil",
        "ObservableKey",
        "ObservableValue",
        "Pattern",
        "Source",
        "Tags",
        "Data",
    ),
)
