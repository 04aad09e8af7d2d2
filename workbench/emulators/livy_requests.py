"""What a Livy batch request may say: parsed, checked, and refused in the service's words."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

Json = dict[str, Any]

PAYLOAD_BYTES = 100_000
_TEXTS = ("name", "file", "className", "driverMemory", "executorMemory", "artifactId")
_LISTS = ("args", "pyFiles", "jars", "files", "archives")
_MAPS = ("conf", "tags")
_NUMBERS = ("driverCores", "executorCores", "numExecutors")
_MEGABYTES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}
_FIXED_CONF = re.compile(
    r"spark\.(master|submit\.deployMode|hadoop\.fs\.(viewfs\.|abfss\.impl|file\.impl).*)"
)


class Refused(Exception):
    """The service says no: status, code and message; `retry_after` in seconds."""

    def __init__(self, status: int, code: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self._body = {"TraceId": str(uuid.uuid4()), "Message": message, "errorCode": code}
        self._retry_after = retry_after

    def response(self) -> Response:
        """The refusal as HTTP; Retry-After in whole seconds."""
        wait = {"Retry-After": str(math.ceil(self._retry_after))} if self._retry_after else {}
        return JSONResponse(self._body, self.status, headers=wait)


def read_request(payload: bytes) -> Json:
    """A batch request without its nulls. Raises Refused: 413 over 100 kB, 400 for the rest."""
    if len(payload) > PAYLOAD_BYTES:
        raise Refused(413, "PayloadTooLarge", f"A request has at most {PAYLOAD_BYTES} bytes.")
    try:
        request = json.loads(payload)
    except ValueError as error:
        raise _bad("The request is not JSON.") from error
    if not isinstance(request, dict):
        raise _bad("The request is not a JSON object.")
    request = {key: value for key, value in request.items() if value is not None}
    _check_types(request)
    _check_values(request)
    return request


def _check_types(request: Json) -> None:
    for key, value in request.items():
        if key in _TEXTS and not isinstance(value, str):
            raise _bad(f"{key} is not a string.")
        if key in _LISTS and not _all_strings(value, list):
            raise _bad(f"{key} is not a list of strings.")
        if key in _MAPS and not (_all_strings(value, dict) and _all_strings(value.values())):
            raise _bad(f"{key} is not a map from string to string.")
        if key in _NUMBERS and (not isinstance(value, int) or value < 1):
            raise _bad(f"{key} is not a positive number.")


def _all_strings(value: Any, kind: type[Iterable[object]] = Iterable) -> bool:
    return isinstance(value, kind) and all(isinstance(item, str) for item in value)


def _check_values(request: Json) -> None:
    for key in ("name", "file"):
        if not request.get(key):
            raise _bad(f"{key} is required.")
    for path in _uploads(request):
        # Livy takes no files of the machine that it runs on.
        if "://" not in path or path.lower().startswith("file:"):
            raise _bad(f"Local path {path} cannot be added to user sessions.")
    for key in ("driverMemory", "executorMemory"):
        memory_mb(request.get(key, "1g"))
    fixed = [key for key in request.get("conf", {}) if _FIXED_CONF.fullmatch(key)]
    if fixed:
        raise _bad(f"Blacklisted configuration values in session config: {', '.join(fixed)}")


def _uploads(request: Mapping[str, Any]) -> Iterator[str]:
    yield request["file"]
    for key in ("pyFiles", "jars", "files", "archives"):
        yield from request.get(key, ())


def texts(request: Mapping[str, Any]) -> Iterator[str]:
    """Every string of a request that may name storage."""
    yield from _uploads(request)
    yield from request.get("args", ())
    yield from request.get("conf", {}).values()


def cores(request: Mapping[str, Any]) -> int:
    """The vCores that a request names for its driver and its executors; 0 when it names none."""
    executors = request.get("executorCores", 0) * request.get("numExecutors", 1)
    return int(request.get("driverCores", 0) + executors)


def memory_mb(text: str) -> int:
    """Megabytes of a size such as "28g". Raises Refused when it is none."""
    match = re.fullmatch(r"([0-9]+)([kmgt])b?", text.lower())
    if not match:
        raise _bad(f"{text} is not a memory size.")
    return max(1, math.floor(int(match[1]) * _MEGABYTES[match[2]]))


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)
