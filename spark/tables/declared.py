"""Every table that has a declared schema, by its name in lower case."""

from __future__ import annotations

from collections.abc import Mapping

from spark.tables import (
    Table,
    asimdnsactivitylogs,
    asimnetworksessionlogs,
    commonsecuritylog,
    devicenetworkevents,
    dnsevents,
    threatintelindicators,
    threatintelligenceindicator,
    vmconnection,
)

TABLES: Mapping[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        asimdnsactivitylogs,
        asimnetworksessionlogs,
        commonsecuritylog,
        devicenetworkevents,
        dnsevents,
        threatintelindicators,
        threatintelligenceindicator,
        vmconnection,
    )
}
