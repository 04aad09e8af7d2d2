"""A hunt's YAML -> HuntSpec. Errors name file, line and mend; one bad spec spares the rest.

spark/hunts/<module>.yaml      what the hunt is: this file's business
spark/hunts/<module>.py        how it hunts: must lie beside it, and is not read here
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import Literal, cast

from shared import contract
from shared import hunt_fields as read
from shared.errors import BadInput
from shared.hunt_fields import PARAM_CHARS, TACTICS, Fields, optional
from shared.hunt_yaml import SPEC_BYTES, Spot, did_you_mean, read_yaml
from shared.model import HuntSpec, HuntStatus, Json, Param

REQUIRED = ("id", "name", "version", "status", "description", "severity", "tactics", "finding_key")
OPTIONAL = (
    "relevantTechniques", "views", "tables", "referenceData", "slot", "schedule", "arrival",
    "catch_up", "lookback_days", "settle_minutes", "params", "case_key", "entityMappings",
    "suppression", "triage", "falsePositives", "blindSpots", "references",
)  # fmt: skip
KEYS = REQUIRED + OPTIONAL
"""Every key that a spec may have; Sentinel's own word wherever it has one."""

SLOTS = ("day", "hour")
STATUSES = ("draft", "shadow", "live", "disabled")

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]{1,40})?", re.ASCII)
_LOOKBACK_DAYS, _QUIET_DAYS = 21, 30

Value = float | int | str | bool


def load_folders(folders: Iterable[Path]) -> tuple[list[HuntSpec], list[BadInput]]:
    """All specs of several folders, and what is wrong with the others.

    Of two specs with the same module or GUID the first is kept, the error names both files.
    """
    specs: list[HuntSpec] = []
    errors: list[BadInput] = []
    for folder in folders:
        found, wrong = load_folder(folder)
        errors.extend(wrong)
        for spec in found:
            _add(spec, specs, errors)
    return specs, errors


def load_folder(folder: Path) -> tuple[list[HuntSpec], list[BadInput]]:
    """The specs `*.yaml` of a folder in order of their names, and what is wrong with the others."""
    specs: list[HuntSpec] = []
    errors: list[BadInput] = []
    if not folder.is_dir():
        mend = "correct the setting that names this folder"
        return [], [BadInput("there is no such folder of hunts", where=str(folder), mend=mend)]
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".yaml", ".yml"):
            try:
                _add(_load(path), specs, errors)
            except BadInput as error:
                errors.append(error)
    return specs, errors


def parse(text: str, source: str, module: str) -> HuntSpec:
    """The spec that a YAML text holds; `source` is its file, for messages. Raises BadInput."""
    if not contract.IDENTIFIER.fullmatch(module):
        mend = "name the pair of files with 3 to 48 of a-z, 0-9 and _, a letter first"
        raise BadInput(f"{module!r} is no name for a hunt", where=f"{source}:1", mend=mend)
    whole = read_yaml(text, source)
    fields = whole.fields(KEYS, REQUIRED)
    spec = _spec(fields, source, module)
    _check_sources(whole, spec)
    _check_triggers(whole, spec)
    _check_case_key(fields, spec)
    return spec


def tables_of(spec: HuntSpec) -> tuple[str, ...]:
    """Every table that a hunt may read: its own and those of its views, sorted."""
    of_views = (table for view in spec.views for table in contract.VIEWS[view])
    return tuple(sorted({*spec.tables, *of_views}))


def entity_columns(spec: HuntSpec) -> tuple[str, ...]:
    """Columns that the entity mappings name, each once, in their order."""
    return tuple(
        dict.fromkeys(
            field["columnName"]
            for mapping in spec.entity_mappings
            for field in mapping["fieldMappings"]
        )
    )


def parameters(spec: HuntSpec, overrides: Mapping[str, object]) -> Json:
    """Every parameter's value: its default, or the override if it has its type and lies in bounds.

    Raises BadInput, which names the parameter and its bounds.
    """
    known = {param.name: param for param in spec.params}
    for name in overrides:
        if name not in known:
            mend = did_you_mean(name, known) if known else "the hunt has no parameters"
            raise BadInput(f"{spec.module} has no parameter {name!r}", where=name, mend=mend)
    return {
        name: _value(spec, param, overrides[name]) if name in overrides else param.default
        for name, param in known.items()
    }


def frozen(spec: HuntSpec) -> Json:
    """What the plan says of a hunt. `tables` are the declared ones, without those of the views."""
    return {
        "module": spec.module,
        "guid": spec.guid,
        "name": spec.name,
        "version": spec.version,
        "views": list(spec.views),
        "tables": list(spec.tables),
        "severity": dict(spec.severity),
        "finding_key": list(spec.finding_key),
        "entity_columns": list(entity_columns(spec)),
    }


def _add(spec: HuntSpec, specs: list[HuntSpec], errors: list[BadInput]) -> None:
    for other in specs:
        if spec.module == other.module or spec.guid == other.guid:
            what = "module" if spec.module == other.module else "id"
            errors.append(
                BadInput(
                    f"{spec.source} has the {what} of {other.source}",
                    where=spec.source,
                    mend=f"give one of them another {'name' if what == 'module' else 'GUID'}",
                )
            )
            return
    specs.append(spec)


def _load(path: Path) -> HuntSpec:
    if path.suffix != ".yaml":
        raise BadInput("a spec ends in .yaml", where=str(path), mend=f"name it {path.stem}.yaml")
    if not path.with_suffix(".py").is_file():
        mend = f"write {path.stem}.py beside it"
        raise BadInput("the spec has no module", where=str(path), mend=mend)
    return parse(_read(path), str(path), path.stem)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(SPEC_BYTES + 1)
    except OSError as error:
        what, mend = f"the file cannot be read: {error.strerror}", "make it a file that can be read"
        raise BadInput(what, where=str(path), mend=mend) from error
    try:
        # A cut inside a character lies beyond the limit: the size is what is wrong then.
        errors = "strict" if len(content) <= SPEC_BYTES else "replace"
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput("the file is no UTF-8", where=f"{path}:{line}", mend="save it so") from error


def _spec(fields: Fields, source: str, module: str) -> HuntSpec:
    maybe = partial(optional, fields)
    return HuntSpec(
        module=module,
        guid=fields["id"].match(_GUID, "a GUID, e.g. 6f2a1f0e-7d53-4c1e-9a40-0d6f1f6b7c11").lower(),
        name=fields["name"].text(256),
        version=fields["version"].match(_VERSION, "a version, e.g. 1.0.0"),
        status=cast(HuntStatus, fields["status"].choice(STATUSES)),
        description=fields["description"].text(),
        severity=read.severity(fields["severity"]),
        tactics=read.choices(fields["tactics"], TACTICS),
        techniques=maybe("relevantTechniques", read.techniques, ()),
        views=maybe("views", lambda spot: read.choices(spot, contract.VIEWS), ()),
        tables=maybe("tables", read.tables, ()),
        reference_data=maybe("referenceData", read.identifiers, ()),
        slot=cast(Literal["day", "hour"], maybe("slot", lambda spot: spot.choice(SLOTS), "day")),
        schedule=maybe("schedule", read.schedule, None),
        arrival=maybe("arrival", Spot.flag, False),
        catch_up=maybe("catch_up", read.catch_up, None),
        lookback_days=maybe("lookback_days", lambda spot: spot.whole(1, 400), _LOOKBACK_DAYS),
        settle_minutes=maybe("settle_minutes", lambda spot: spot.number(0, 1440), None),
        params=maybe("params", read.params, ()),
        finding_key=read.columns(fields["finding_key"]),
        case_key=maybe("case_key", read.columns, ()),
        entity_mappings=maybe("entityMappings", read.entity_mappings, ()),
        quiet_days=maybe("suppression", read.quiet_days, _QUIET_DAYS),
        triage=maybe("triage", read.texts, ()),
        false_positives=maybe("falsePositives", read.texts, ()),
        blind_spots=maybe("blindSpots", read.texts, ()),
        references=maybe("references", read.texts, ()),
        source=source,
    )


def _check_sources(whole: Spot, spec: HuntSpec) -> None:
    if not spec.views and not spec.tables:
        raise whole.wrong("names no data", "add views: [NetworkSession], or tables: [...]")


def _check_triggers(whole: Spot, spec: HuntSpec) -> None:
    if spec.status in ("live", "shadow") and not spec.schedule and not spec.arrival:
        mend = "add a schedule or arrival: true, or set status: draft"
        raise whole.wrong("says nothing that starts the hunt", mend)


def _check_case_key(fields: Fields, spec: HuntSpec) -> None:
    known = (*spec.finding_key, *entity_columns(spec))
    for column in spec.case_key:
        if column not in known:
            mend = did_you_mean(column, known)
            raise fields["case_key"].wrong(f"has {column!r}, which no finding is known by", mend)


def _value(spec: HuntSpec, param: Param, value: object) -> Value:
    typed = _typed(param, value)
    if typed is None:
        mend = f"give {_wanted(param)}"
        raise BadInput(f"{spec.module}: {param.name} is {value!r}", where=param.name, mend=mend)
    return typed


def _typed(param: Param, value: object) -> Value | None:
    default = param.default
    if isinstance(default, bool) or isinstance(value, bool):
        return value if isinstance(default, bool) and isinstance(value, bool) else None
    if isinstance(default, str):
        return value if isinstance(value, str) and 0 < len(value) <= PARAM_CHARS else None
    if not isinstance(value, int if isinstance(default, int) else (int, float)):
        return None
    inside = _bound(param.minimum, -inf) <= value <= _bound(param.maximum, inf)
    return (value if isinstance(default, int) else float(value)) if inside else None


def _bound(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound


def _wanted(param: Param) -> str:
    if isinstance(param.default, bool):
        return "true or false"
    if isinstance(param.default, str):
        return f"text of 1 to {PARAM_CHARS} characters"
    kind = "a whole number" if isinstance(param.default, int) else "a number"
    return f"{kind} from {_bound(param.minimum, -inf):g} to {_bound(param.maximum, inf):g}"
