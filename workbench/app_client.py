"""The running app, as anybody sees it: over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from shared.errors import BadInput, Rejected, Transient

Json = dict[str, Any]
SECONDS = 30.0


@dataclass(frozen=True)
class AppClient:
    """Speaks to one functions host with its key."""

    url: str
    key: str

    def status(self) -> Json:
        """`GET /api/status`."""
        return dict(self._ask("GET", "/api/status"))

    def health(self) -> Json:
        """`GET /api/health`, whatever its code: bad settings are its content."""
        return dict(self._ask("GET", "/api/health", accept=(200, 503)))

    def run(self, run_id: str) -> Json:
        """`GET /api/runs/{id}`."""
        return dict(self._ask("GET", f"/api/runs/{quote(run_id, safe='')}"))

    def start_run(self, **asked: Any) -> str:
        """`POST /api/runs`; the run's id."""
        return str(self._ask("POST", "/api/runs", body=asked, accept=(202,))["run_id"])

    def change(self, run_id: str, change: str, reason: str = "") -> Json:
        """`POST /api/runs/{id}/{change}`: cancel, release or redrive."""
        path = f"/api/runs/{quote(run_id, safe='')}/{change}"
        return dict(self._ask("POST", path, body={"reason": reason}, accept=(202,)))

    def pause(self, change: str, reason: str) -> Json:
        """`POST /api/pause` or `/api/resume`."""
        return dict(self._ask("POST", f"/api/{change}", body={"reason": reason}, accept=(202,)))

    def gaps(self) -> Json:
        """`GET /api/gaps`."""
        return dict(self._ask("GET", "/api/gaps"))

    def quiet(self, after: str = "") -> Json:
        """`GET /api/quiet`: a page."""
        return dict(self._ask("GET", f"/api/quiet?after={quote(after, safe='')}"))

    def revoke(self, case: str, reason: str) -> Json:
        """`POST /api/quiet/{case}/revoke`."""
        path = f"/api/quiet/{quote(case, safe='')}/revoke"
        return dict(self._ask("POST", path, body={"reason": reason}, accept=(202,)))

    def doctor(self) -> Json:
        """`GET /api/doctor`."""
        return dict(self._ask("GET", "/api/doctor"))

    def fill_gaps(self, **asked: Any) -> Json:
        """`POST /api/gaps/fill`; with `estimate` nothing is asked for."""
        return dict(self._ask("POST", "/api/gaps/fill", body=asked, accept=(200, 202)))

    def functions(self) -> list[Json]:
        """The functions that the host found."""
        return list(self._ask("GET", "/admin/functions"))

    def host_status(self) -> Json:
        """State of the host, and why functions are missing."""
        return dict(self._ask("GET", "/admin/host/status"))

    def invocations(self) -> dict[str, Json]:
        """Function -> how often it started, succeeded and failed, and its last error."""
        return dict(self._ask("GET", "/admin/tidehunt/invocations"))

    def _ask(
        self, method: str, path: str, *, body: Json | None = None, accept: tuple[int, ...] = (200,)
    ) -> Any:
        headers = {"x-functions-key": self.key}
        try:
            answer = httpx.request(
                method,
                self.url + path,
                json=body,
                headers=headers,
                timeout=SECONDS,
                trust_env=False,
            )
        except httpx.TransportError as error:
            raise Transient(
                f"the app does not answer: {error}", where=self.url, mend="see the host's log"
            ) from error
        if answer.status_code in accept:
            return answer.json()
        return _refused(answer, f"{method} {path}")


def _refused(answer: httpx.Response, where: str) -> Any:
    try:
        said = answer.json()
    except ValueError:
        said = {"error": answer.text[:300] or answer.reason_phrase}
    what, mend = str(said.get("error")), str(said.get("mend", ""))
    if answer.status_code == 400:
        raise BadInput(what, where=str(said.get("where") or where), mend=mend)
    if answer.status_code >= 500:
        raise Transient(f"{answer.status_code}: {what}", where=where, mend=mend)
    raise Rejected(f"{answer.status_code}: {what}", where=where, mend=mend)
