"""YAML -> HuntSpec: what is read, what each fault says, what others ask of a spec."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import contract
from shared.errors import BadInput
from shared.hunt_specs import (
    KEYS,
    entity_columns,
    frozen,
    parameters,
    parse,
    tables_of,
)
from shared.model import Param

GUID = "8c1f6a52-3f2e-4d0b-9a68-5a7f0b0e4c11"
SPEC = f"""\
id: {GUID}
name: Rare beacons
version: 1.2.0
status: live
description: >
  A host that calls the same place
  again and again.
severity: {{High: 0.9, Low: 0.5, Medium: 0.7}}
tactics: [CommandAndControl]
relevantTechniques: [T1071.001, T1573]
views: [NetworkSession]
tables: [DnsEvents]
referenceData: [allow_list]
slot: day
schedule: "0 4 * * *"
arrival: true
lookback_days: 14
settle_minutes: 30
params:
  min_events: {{default: 20, min: 5, max: 1000, description: Fewer say nothing}}
  max_jitter: {{default: 0.5, min: 0, max: 1}}
  both_ways: {{default: false}}
  unit: {{default: seconds}}
finding_key: [SrcIpAddr, DstIpAddr, DstPortNumber]
case_key: [SrcIpAddr, DstHostname]
entityMappings:
  - entityType: IP
    fieldMappings: [{{identifier: Address, columnName: SrcIpAddr}}]
  - entityType: DNS
    fieldMappings: [{{identifier: DomainName, columnName: DstHostname}}]
suppression: {{quiet_days: 45}}
triage: [Look at the process.]
falsePositives: [Antivirus clouds.]
blindSpots: [Intervals below three seconds.]
references: ["https://attack.mitre.org/techniques/T1071/"]
"""


def changed(line: str, new: str) -> str:
    """The spec with the line that starts like this replaced."""
    lines = SPEC.splitlines()
    [number] = [n for n, text in enumerate(lines) if text.lstrip().startswith(line)]
    lines[number] = new
    return "\n".join(text for text in lines if text) + "\n"


def refusal(text: str, module: str = "beaconing") -> str:
    with pytest.raises(BadInput) as caught:
        parse(text, "hunts/beaconing.yaml", module)
    return str(caught.value)


def test_a_whole_spec_is_read() -> None:
    spec = parse(SPEC, "hunts/beaconing.yaml", "beaconing")

    assert (spec.module, spec.guid, spec.version, spec.status) == (
        "beaconing",
        GUID,
        "1.2.0",
        "live",
    )
    assert spec.description == "A host that calls the same place again and again."
    assert list(spec.severity.items()) == [("Low", 0.5), ("Medium", 0.7), ("High", 0.9)]
    assert (spec.views, spec.tables) == (("NetworkSession",), ("dnsevents",))
    assert (spec.schedule, spec.arrival, spec.lookback_days) == ("0 4 * * *", True, 14)
    assert (spec.settle_minutes, spec.quiet_days) == (30.0, 45)
    assert spec.case_key == ("SrcIpAddr", "DstHostname")
    assert spec.params == (
        Param("min_events", 20, 5.0, 1000.0, "Fewer say nothing"),
        Param("max_jitter", 0.5, 0.0, 1.0),
        Param("both_ways", False),
        Param("unit", "seconds"),
    )
    assert spec.entity_mappings[0] == {
        "entityType": "IP",
        "fieldMappings": [{"identifier": "Address", "columnName": "SrcIpAddr"}],
    }
    assert spec.source == "hunts/beaconing.yaml"


def test_what_is_left_out_has_the_products_defaults() -> None:
    text = f"""\
id: {GUID.upper()}
name: n
version: 0.1.0
status: draft
description: d
severity: {{Medium: 1}}
tactics: [Impact]
tables: [SecurityEvent]
finding_key: [Computer]
"""
    spec = parse(text, "x.yaml", "some_hunt")

    assert spec.guid == GUID
    assert (spec.slot, spec.schedule, spec.arrival) == ("day", None, False)
    assert (spec.lookback_days, spec.quiet_days, spec.settle_minutes) == (21, 30, None)
    assert not (spec.params or spec.case_key or spec.entity_mappings or spec.views)


@pytest.mark.parametrize(
    ("line", "new", "says"),
    [
        # Keys
        ("lookback_days", "lookback_day: 14", "'lookback_day' is no key that is known here"),
        ("lookback_days", "lookback_day: 14", "did you mean 'lookback_days'?"),
        ("lookback_days", "lookback_day: 14", "(hunts/beaconing.yaml:17)"),
        ("version", "", "lacks 'version'"),
        ("name", f"id: {GUID}", "'id' is there twice (hunts/beaconing.yaml:2)"),
        ("name", "name:", "'name' is empty (hunts/beaconing.yaml:2)"),
        # Words and shapes
        ("id:", "id: 42", "must be text, not the int '42'"),
        ("id:", "id: not-a-guid", "must be a GUID"),
        ("version", "version: 1.2", "must be text"),
        ("version", 'version: "1.2"', "must be a version, e.g. 1.0.0"),
        ("status", "status: alive", "did you mean 'live'?"),
        ("status", "status: [live]", "must be text, not a list"),
        ("tactics", "tactics: [CommandandControl]", "did you mean 'CommandAndControl'?"),
        ("tactics", "tactics: Impact", "must be a list, not text"),
        ("tactics", "tactics: []", "'tactics' is empty"),
        ("relevantTechniques", "relevantTechniques: [T1071.1]", "must be a technique"),
        ("relevantTechniques", "relevantTechniques: [T1071, T1071]", "repeats 'T1071'"),
        ("views", "views: [NetworkSessions]", "did you mean 'NetworkSession'?"),
        ("tables", 'tables: ["../etc"]', "write a table's name"),
        ("referenceData", "referenceData: [Allow List]", "must be a name of a-z"),
        ("slot", "slot: week", "it is one of day, hour"),
        ("finding_key", "finding_key: []", "'finding_key' is empty"),
        ("finding_key", 'finding_key: ["a b"]', "must be a column's name"),
        ("case_key", "case_key: [DstHostnam]", "did you mean 'DstHostname'?"),
        ("triage", "triage: Look.", "'triage' must be a list, not text"),
        # Numbers and times
        ("severity", "severity: {Low: 0.7, Medium: 0.5}", "'severity' has no rising scores"),
        ("severity", "severity: {Low: 0}", "'severity' has no rising scores"),
        ("severity", "severity: {High: 1.1}", "'severity.High' is 1.1"),
        ("severity", "severity: {}", "'severity' has no rising scores"),
        ("severity", "severity: {Hihg: 0.9}", "did you mean 'High'?"),
        ("severity", "severity: {High: true}", "must be a number, not true or false"),
        ("schedule", 'schedule: "0 25 * * *"', "Bad hour"),
        ("schedule", 'schedule: "0 0 4 * * *"', "it must have five fields"),
        ("schedule", 'schedule: "0 0 31 2 *"', "is no cron expression"),
        ("schedule", 'schedule: "@daily"', "is no cron expression"),
        ("lookback_days", "lookback_days: 401", "write a number from 1 to 400"),
        ("lookback_days", "lookback_days: 0", "write a number from 1 to 400"),
        ("lookback_days", "lookback_days: yes", "must be a whole number, not true or false"),
        ("lookback_days", "lookback_days: 2.5", "must be a whole number"),
        ("settle_minutes", "settle_minutes: .nan", "write a number from 0 to 1440"),
        ("arrival", 'arrival: "true"', "without quotes"),
        ("suppression", "suppression: {quiet_day: 3}", "did you mean 'quiet_days'?"),
        ("suppression", "suppression: {}", "'suppression' lacks 'quiet_days'"),
        # Parameters
        ("max_jitter", "  max_jitter: {default: 2, min: 0, max: 1}", "max_jitter.default' is 2"),
        ("max_jitter", "  max_jitter: {default: 0, min: 2, max: 1}", "is above max 1"),
        ("max_jitter", "  max_jitter: {default: 0, min: 0}", "'params.max_jitter' lacks 'max'"),
        ("max_jitter", "  max_jitter: {min: 0, max: 1}", "lacks 'default'"),
        ("max_jitter", "  max_jitter: {default: .inf, min: 0, max: 1}", "is inf"),
        ("max_jitter", "  maxJitter: {default: 0, min: 0, max: 1}", "is no name for a parameter"),
        ("both_ways", "  both_ways: {default: true, min: 0}", "bounds a value that is no number"),
        ("unit", "  unit: {default: [a]}", "must be text, not a list"),
        # Entity mappings
        ("- entityType: IP", "  - entityType: Ip", "did you mean 'IP'?"),
        ("- entityType: DNS", "  - entityType: DNS\n    more: 1", "'entityMappings[1].more'"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place_and_mend(line: str, new: str, says: str) -> None:
    message = refusal(changed(line, new))

    assert says in message
    assert "hunts/beaconing.yaml:" in message


def test_a_spec_names_its_data() -> None:
    assert "names no data" in refusal(changed("views", "").replace("tables: [DnsEvents]\n", ""))


def test_an_active_spec_says_what_starts_it() -> None:
    idle = changed("schedule", "").replace("arrival: true\n", "")

    assert "says nothing that starts the hunt" in refusal(idle)
    assert "says nothing" in refusal(idle.replace("status: live", "status: shadow"))
    for status in ("draft", "disabled"):
        assert parse(idle.replace("live", status), "x.yaml", "beaconing").schedule is None


def test_sentinels_limit_of_entity_mappings() -> None:
    one = "  - {entityType: IP, fieldMappings: [{identifier: Address, columnName: SrcIpAddr}]}\n"
    start = SPEC.index("entityMappings:")
    end = SPEC.index("suppression:")
    text = SPEC[:start] + "entityMappings:\n" + one * 11 + SPEC[end:]

    assert "'entityMappings' has 11 values" in refusal(text)
    assert "10 are the most" in refusal(text)


@pytest.mark.parametrize("module", ["Beaconing", "a", "1abc", "bea-coning", "x" * 49, ""])
def test_the_module_is_an_identifier(module: str) -> None:
    assert "is no name for a hunt" in refusal(SPEC, module)


_SNIPPETS = st.sampled_from([*SPEC.splitlines(), *(f"{key}: [x]" for key in KEYS), "  - a: 1", "{"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(_SNIPPETS, max_size=40).map("\n".join)))
def test_any_text_parses_or_is_bad_input(text: str) -> None:
    try:
        spec = parse(text, "f.yaml", "beaconing")
    except BadInput as error:
        assert error.where.startswith("f.yaml:") and error.what
    else:
        assert spec.views or spec.tables


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(KEYS), value=_JSON)
def test_any_value_of_any_key_parses_or_is_bad_input(key: str, value: object) -> None:
    whole = yaml.safe_load(SPEC) | {key: value}
    try:
        spec = parse(json.dumps(whole), "f.yaml", "beaconing")
    except BadInput as error:
        assert error.where.startswith("f.yaml:") and error.what
    else:
        json.dumps(frozen(spec), allow_nan=False)


def test_tables_are_the_specs_own_and_those_of_its_views() -> None:
    spec = parse(SPEC, "x.yaml", "beaconing")

    assert tables_of(spec) == tuple(sorted({"dnsevents", *contract.VIEWS["NetworkSession"]}))


def test_entity_columns_come_once_and_in_order() -> None:
    twice = "columnName: DstHostname}, {identifier: DnsServerIp, columnName: SrcIpAddr}"
    spec = parse(SPEC.replace("columnName: DstHostname}", twice), "x.yaml", "beaconing")

    assert entity_columns(spec) == ("SrcIpAddr", "DstHostname")


def test_a_frozen_spec_is_json() -> None:
    assert json.loads(json.dumps(frozen(parse(SPEC, "x.yaml", "beaconing")))) == {
        "module": "beaconing",
        "guid": GUID,
        "name": "Rare beacons",
        "version": "1.2.0",
        "views": ["NetworkSession"],
        "tables": ["dnsevents"],
        "severity": {"Low": 0.5, "Medium": 0.7, "High": 0.9},
        "finding_key": ["SrcIpAddr", "DstIpAddr", "DstPortNumber"],
        "entity_columns": ["SrcIpAddr", "DstHostname"],
    }


def test_overrides_keep_the_parameters_type() -> None:
    spec = parse(SPEC, "x.yaml", "beaconing")

    values = parameters(spec, {"min_events": 1000, "max_jitter": 1, "both_ways": True})

    assert values == {
        "min_events": 1000,
        "max_jitter": 1.0,
        "both_ways": True,
        "unit": "seconds",
    }
    assert [type(value) for value in values.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("min_events", 4, "give a whole number from 5 to 1000"),
        ("min_events", 1001, "from 5 to 1000"),
        ("min_events", 20.0, "give a whole number"),
        ("min_events", True, "give a whole number"),
        ("min_events", "20", "give a whole number"),
        ("min_events", None, "give a whole number"),
        ("max_jitter", float("nan"), "give a number from 0 to 1"),
        ("max_jitter", float("inf"), "give a number from 0 to 1"),
        ("max_jitter", False, "give a number from 0 to 1"),
        ("max_jitter", 10**400, "give a number from 0 to 1"),
        ("both_ways", 1, "give true or false"),
        ("unit", "", "give text of 1 to 200 characters"),
        ("unit", True, "give text of 1 to 200 characters"),
        ("unit", ["x"], "give text of 1 to 200 characters"),
        ("min_event", 20, "did you mean 'min_events'?"),
    ],
)
def test_a_bad_override_names_the_parameter_and_its_bounds(
    name: str, value: object, says: str
) -> None:
    with pytest.raises(BadInput) as caught:
        parameters(parse(SPEC, "x.yaml", "beaconing"), {name: value})

    assert says in str(caught.value) and name in str(caught.value)
