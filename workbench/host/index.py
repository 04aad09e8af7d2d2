"""Reads a function app's folder as the Functions host and its Python worker do.

What the worker cannot load costs every function: the host then runs with 0 functions and says why.
What only the host refuses (a setting that does not resolve, a binding that it does not serve)
costs that function alone. The app is loaded by its own folder's path and shares no module with
the host, so that the folder may be a copy or an unpacked deployment.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import traceback
import typing
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func

Json = dict[str, Any]
converters: Callable[[], Any] = func.get_binding_registry
"""The library's converters: `converters().get("httpTrigger")` decodes and encodes values."""
SERVED = ("httpTrigger", "eventGridTrigger", "timerTrigger")
FUNCTION_TIMEOUT = 1800.0
"""Seconds; what the Flex plan takes where host.json is silent."""
_BUNDLE = "Microsoft.Azure.Functions.ExtensionBundle"
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})")


class UnusableApp(Exception):
    """The folder cannot be served at all; the message says what to mend."""


@dataclass(frozen=True)
class HostSettings:
    """What host.json says. `timeout` in seconds, None for no limit."""

    route_prefix: str
    timeout: float | None
    log_levels: Mapping[str, str]
    """Category -> level, as in host.json; "default" is for all others."""
    has_bundle: bool


@dataclass(frozen=True)
class Function:
    """One function that the worker could load.

    `trigger` is its trigger binding with settings resolved, `bindings` are as declared.
    """

    name: str
    call: Callable[..., Any]
    bindings: tuple[Json, ...]
    trigger: Json
    wants_context: bool
    disabled: bool

    @property
    def kind(self) -> str:
        """The trigger's type, e.g. "timerTrigger"."""
        return str(self.trigger["type"])

    @property
    def returns(self) -> bool:
        """Whether a `$return` binding takes the function's value."""
        return any(binding["name"] == "$return" for binding in self.bindings)


@dataclass
class Index:
    """What was found. `errors` stopped every function, `function_errors` (name -> why) one each."""

    functions: list[Function] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    function_errors: dict[str, str] = field(default_factory=dict)


def read_host_settings(folder: Path) -> HostSettings:
    """host.json of an app's folder. Raises UnusableApp when it is missing or wrong."""
    document = _read_json(folder / "host.json")
    if document.get("version") != "2.0":
        raise UnusableApp(f'{folder / "host.json"} must say "version": "2.0"')
    http = document.get("extensions", {}).get("http", {})
    levels = document.get("logging", {}).get("logLevel", {})
    return HostSettings(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        timeout=_seconds(document.get("functionTimeout")),
        log_levels={str(category): str(level) for category, level in levels.items()},
        has_bundle=document.get("extensionBundle", {}).get("id") == _BUNDLE,
    )


def apply_local_settings(folder: Path, environ: MutableMapping[str, str]) -> None:
    """Add `Values` of an optional local.settings.json to the environment, which wins."""
    path = folder / "local.settings.json"
    if not path.exists():
        return
    document = _read_json(path)
    if document.get("IsEncrypted"):
        raise UnusableApp(f"{path} is encrypted. Mend: func settings decrypt")
    for name, value in document.get("Values", {}).items():
        if isinstance(value, dict | list):
            raise UnusableApp(f"{path}: the value of {name} must be a string")
        environ.setdefault(name, value if isinstance(value, str) else json.dumps(value))


def index_app(folder: Path, settings: HostSettings, environ: Mapping[str, str]) -> Index:
    """Import `function_app` from the folder, list its functions; no fault in it raises."""
    index = Index()
    try:
        loaded = [_load(function) for function in _declared(folder)]
    # An app that calls sys.exit() at import takes itself down, not its host.
    except (Exception, SystemExit):
        index.errors.append(traceback.format_exc())
        return index
    for function in loaded:
        try:
            index.functions.append(_admit(function, settings, environ))
        except ValueError as error:
            index.function_errors[function.name] = str(error)
    return index


def _declared(folder: Path) -> list[func.Function]:
    """The functions of the module's only app object, as the worker looks for it."""
    if not (folder / "function_app.py").exists():
        raise FileNotFoundError(f"there is no function_app.py in {folder}")
    sys.path.insert(0, str(folder))
    module = importlib.import_module("function_app")
    found = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(found) != 1:
        raise ValueError(f"function_app.py must define one FunctionApp, it defines {len(found)}")
    return found[0].get_functions()


def _load(function: func.Function) -> Function:
    """What the worker checks: parameters, bindings and annotations agree. Raises when not."""
    name, call = str(function.get_function_name()), function.get_user_function()
    hints = typing.get_type_hints(call)
    bindings = tuple(json.loads(binding) for binding in function.get_raw_bindings())
    bound = {binding["name"] for binding in bindings} - {"$return"}
    declared = set(inspect.signature(call).parameters)
    wants_context = "context" in declared - bound
    if declared - {"context"} != bound - {"context"}:
        raise TypeError(f"cannot load {name}: parameters {declared} but bindings {bound}")
    trigger = next(b for b in bindings if b["type"].lower().endswith("trigger"))
    _check_annotations(name, trigger, hints)
    return Function(name, call, bindings, trigger, wants_context, disabled=False)


def _check_annotations(name: str, trigger: Json, hints: Mapping[str, Any]) -> None:
    """The worker takes one plain class for a parameter: a union of two event types is refused."""
    context = hints.get("context", func.Context)
    if trigger["name"] != "context" and getattr(context, "__name__", "") != "Context":
        raise TypeError(f"cannot load {name}: context is annotated {context}")
    for place, binding, check in (
        (trigger["name"], trigger["type"], "check_input_type_annotation"),
        ("return", "http", "check_output_type_annotation"),
    ):
        hint, converter = hints.get(place), converters().get(binding)
        if place == "return" and trigger["type"] != "httpTrigger":
            continue
        if hint is None or converter is None:
            continue
        if not isinstance(hint, type) or not getattr(converter, check)(hint):
            raise TypeError(f"cannot load {name}: {place} is annotated {hint}, bound to {binding}")


def _admit(function: Function, settings: HostSettings, environ: Mapping[str, str]) -> Function:
    """The function as the host takes it, settings resolved. Raises ValueError when it refuses."""
    for binding in function.bindings:
        if binding["type"] not in (*SERVED, "http"):
            raise ValueError(f"binding type {binding['type']} is not served on one machine")
    if function.trigger["type"] == "eventGridTrigger" and not settings.has_bundle:
        raise ValueError(f"eventGridTrigger is not registered: host.json needs {_BUNDLE}")
    disabled = environ.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in ("true", "1")
    trigger = {key: _resolve(value, environ) for key, value in function.trigger.items()}
    return Function(
        function.name, function.call, function.bindings, trigger, function.wants_context, disabled
    )


def _resolve(value: object, environ: Mapping[str, str]) -> object:
    """A binding's value with each %NAME% replaced by that setting."""
    if not isinstance(value, str):
        return value

    def setting(match: re.Match[str]) -> str:
        if not environ.get(match[1]):
            raise ValueError(f"{match[0]} does not resolve to a value. Mend: set {match[1]}")
        return environ[match[1]]

    return re.sub(r"%([^%]+)%", setting, value)


def _seconds(text: object) -> float | None:
    """functionTimeout, "hh:mm:ss" or "-1" for no limit, as seconds."""
    if text is None:
        return FUNCTION_TIMEOUT
    if text == "-1":
        return None
    match = _DURATION.fullmatch(str(text))
    if not match:
        raise UnusableApp(f'host.json: functionTimeout {text!r} is not "hh:mm:ss"')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(days * 86400 + hours * 3600 + minutes * 60 + seconds)


def _read_json(path: Path) -> Json:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UnusableApp(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict):
        raise UnusableApp(f"{path} must hold a JSON object")
    return document
