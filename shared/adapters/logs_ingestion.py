"""`ports.FindingSink` over the Logs Ingestion API.

Facts that this file rests on (azure-monitor-ingestion 1.1.0):
* A list is chunked by the SDK, beyond the service's 1 MB at times; a stream is sent as it is. The
  SDK marks it as gzip when it begins so. The limit holds for both forms, so we cut before.
* A repeated POST repeats its rows: one request a call, no retries.
* 413 is also said as a closed connection with the code ReadyBody_ClientConnectionAbort.
* A stream that the rule lacks is a 400 as well, but no row is to blame for it.
"""

from __future__ import annotations

import gzip
from io import BytesIO

from azure.monitor.ingestion import LogsIngestionClient

from shared.adapters.azure_errors import one_request, service_text, translated
from shared.errors import Conflict, Missing, OutcomeUnknown, Rejected, TooLarge

PAYLOAD_BYTES = 1_000_000
_MEND_RULE = "correct TIDEHUNT_DCR_ID, TIDEHUNT_STREAM and TIDEHUNT_LOGS_ENDPOINT"


class LogsIngestionSink:
    """Sends rows to one stream of one data collection rule."""

    def __init__(
        self, client: LogsIngestionClient, rule_id: str, stream: str, call_seconds: float
    ) -> None:
        self._client = client
        self._rule = rule_id
        self._stream = stream
        self._request = one_request(call_seconds)

    def send(self, payload: bytes) -> None:
        """Send one JSON array of at most 1,000,000 bytes with one request.

        Returns when it was accepted. TooLarge, Rejected (a row is at fault), Missing (the rule or
        its stream is), Throttled, Forbidden, OutcomeUnknown, Transient.
        """
        where = f"{self._rule}/{self._stream}"
        if len(payload) > PAYLOAD_BYTES:
            raise TooLarge(f"{len(payload)} bytes of rows are over the limit", where=where)
        try:
            # The service quotes rows in what it says, and rows are written by attackers.
            with translated("send rows", where, acts=True, quote=False):
                self._client.upload(
                    self._rule,
                    self._stream,
                    BytesIO(gzip.compress(payload, mtime=0)),
                    **self._request,
                )
        except Rejected as error:
            raise _refusal(error) from error
        except Conflict as error:
            raise OutcomeUnknown(error.what, where=where) from error
        except Missing as error:
            error.mend = _MEND_RULE
            raise


def _refusal(error: Rejected) -> Rejected | TooLarge | Missing:
    said = service_text(error)
    if "ReadyBody_ClientConnectionAbort" in said:
        return TooLarge(error.what, where=error.where)
    if "InvalidStream" in said:
        return Missing(error.what, where=error.where, mend=_MEND_RULE)
    return error
