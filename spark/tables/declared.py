"""Every table that has a declared schema, by its name in lower case."""

from __future__ import annotations

from collections.abc import Mapping

from spark.tables import (
    Table,
    asimnetworksessionlogs,
    commonsecuritylog,
    devicenetworkevents,
    vmconnection,
)

TABLES: Mapping[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        asimnetworksessionlogs,
        commonsecuritylog,
        devicenetworkevents,
        vmconnection,
    )
}
