"""The local certificate authority and the server certificate of 127.0.0.1, made once a home.

Clients trust `ca` alone (REQUESTS_CA_BUNDLE and SSL_CERT_FILE replace their own roots): so a
process of the local cloud that calls a public host by mistake fails instead of reaching it.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509

VALID_DAYS = 365
RENEW_DAYS = 7
"""A certificate that ends within so many days is made anew, so that none ends during a run."""


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    ca: Path
    """What clients trust."""
    chain: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """The certificate kept in `folder`, made if it is missing, broken or about to end."""
    kept = Certificate(folder / "ca.pem", folder / "server.pem", folder / "server-key.pem")
    if not _usable(kept):
        _make(folder)
    return kept


def _usable(kept: Certificate) -> bool:
    try:
        ends = [_end(path) for path in (kept.ca, kept.chain)]
    except (OSError, ValueError):
        return False
    return kept.key.is_file() and min(ends) > datetime.now(UTC) + timedelta(days=RENEW_DAYS)


def _end(path: Path) -> datetime:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _make(folder: Path) -> None:
    """All three files or none: they are written to a folder of their own, then renamed."""
    authority = trustme.CA(organization_name="Tidehunt local cloud")
    server = authority.issue_cert(
        "127.0.0.1", "localhost", not_after=datetime.now(UTC) + timedelta(days=VALID_DAYS)
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))  # mode 700: the key is inside
    authority.cert_pem.write_to_path(made / "ca.pem")
    for blob in server.cert_chain_pems:
        blob.write_to_path(made / "server.pem", append=True)
    server.private_key_pem.write_to_path(made / "server-key.pem")
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)
