"""Certificates for one server: an authority of its own, good and bad ones for its brokers, one for each user.

The only module that imports trustme.
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ._ports import LOOPBACK
from .errors import ServerUnavailable

if TYPE_CHECKING:
    from trustme import CA, LeafCert

ELSEWHERE = "elsewhere.example"
_HANDSHAKES = 6


class Certificates:
    """Files below a directory that only this user can read.

    Args:
        directory: Where they go.
        users: Who gets a certificate; its common name is the user's.

    Raises:
        ServerUnavailable: trustme is not installed.
    """

    def __init__(self, directory: Path, users: Iterable[str]) -> None:
        try:
            import trustme
        except ImportError as error:
            raise ServerUnavailable(
                f'{error.name} is not installed: pip install "kafka-persist[testkit]"; it makes the certificates'
            ) from error
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        authority, stranger = trustme.CA(), trustme.CA()
        self.authority = directory / "authority.pem"
        self.wrong_authority = directory / "wrong-authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        stranger.cert_pem.write_to_path(self.wrong_authority)
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        self._write("broker-good", authority.issue_cert(LOOPBACK, "localhost"))
        self._write("broker-wrong-host", authority.issue_cert(ELSEWHERE))
        self._write(
            "broker-expired",
            authority.issue_cert(LOOPBACK, "localhost", not_before=past - dt.timedelta(days=1), not_after=past),
        )
        for user in users:
            self._write(user, _issue(authority, user))
        # Of an authority that the brokers do not know.
        self._write("stranger", _issue(stranger, "stranger"))

    def key_and_chain(self, name: str) -> Path:
        """A file with a private key and the certificates that go with it, as Java and librdkafka read it."""
        return self._directory / f"{name}.pem"

    def is_shown(self, certificate: str, port: int) -> bool:
        """Whether a broker shows this certificate to all who connect now.

        Its network threads take connections in turn, and one after the other learns of a new certificate; so it is asked more often
        than it has threads.

        Args:
            certificate: `good`, `expired` or `wrong-host`.
            port: Where the broker listens.
        """
        wanted = self.key_and_chain(f"broker-{certificate}").read_text("ascii")
        try:
            return all(
                ssl.get_server_certificate((LOOPBACK, port), timeout=1.0).strip() in wanted for _ in range(_HANDSHAKES)
            )
        except OSError:
            return False

    def _write(self, name: str, leaf: LeafCert) -> None:
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        path = self.key_and_chain(name)
        path.touch(mode=0o600)
        path.write_bytes(_pkcs8(leaf.private_key_pem.bytes()) + chain)


def _issue(authority: CA, user: str) -> LeafCert:
    return authority.issue_cert(f"{user}.example", common_name=user)


def _pkcs8(key: bytes) -> bytes:
    """The same private key in the only form that Java reads."""
    from cryptography.hazmat.primitives import serialization as form

    return form.load_pem_private_key(key, None).private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
