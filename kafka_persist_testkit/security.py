"""What a secured test server asks of its clients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import attrs

from .errors import InvalidSettings

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
Certificate = Literal["good", "expired", "wrong-host"]

MECHANISMS: tuple[str, ...] = get_args(Mechanism)
CERTIFICATES: tuple[str, ...] = get_args(Certificate)
ADMIN = "admin"
"""The super user: whom ACLs do not bind."""


def _words(value: Iterable[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _known(_: Any, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    for word in value:
        if word not in MECHANISMS:
            raise InvalidSettings(f"{attribute.name} must be of {', '.join(MECHANISMS)}, got {word!r}")


def _simple(_: Any, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    for name in value:
        if not name.isidentifier() or not name.isascii():
            raise InvalidSettings(
                f"{attribute.name}: {name!r} must be letters, digits and _, not beginning with a digit"
            )


@attrs.frozen(kw_only=True)
class Security:
    """What clients of a `TestServer` have to show. Certificates, passwords and tokens are made at each start.

    Attributes:
        tls: Clients talk TLS, and check the brokers' certificate.
        mutual_tls: Clients have a certificate, too; its common name is the user. Implies `tls`.
        sasl: The SASL mechanisms that are accepted, one name or several: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER.
        users: Their names; the super user `admin` is always there.
        acls: What is not allowed (`server.allow`) is forbidden, but to the super user.

    Raises:
        InvalidSettings: An unknown mechanism, an impossible name, nothing at all, or ACLs without users.
    """

    tls: bool = False
    mutual_tls: bool = False
    sasl: tuple[str, ...] = attrs.field(default=(), converter=_words, validator=_known)
    users: tuple[str, ...] = attrs.field(default=(), converter=_words, validator=_simple)
    acls: bool = False

    def __attrs_post_init__(self) -> None:
        if not (self.uses_tls or self.sasl):
            raise InvalidSettings("Security: say what is asked for: tls, mutual_tls or sasl")
        if (self.acls or self.users) and not (self.sasl or self.mutual_tls):
            raise InvalidSettings("Security: users and acls need sasl or mutual_tls; TLS alone tells nobody's name")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.mutual_tls

    @property
    def everybody(self) -> tuple[str, ...]:
        """All users, the super user first."""
        return (ADMIN, *(name for name in self.users if name != ADMIN))

    @property
    def protocol(self) -> str:
        """Kafka's name for it: `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`."""
        if self.sasl:
            return "SASL_SSL" if self.uses_tls else "SASL_PLAINTEXT"
        return "SSL"


Security.__module__ = "kafka_persist_testkit"  # where users find it: in tracebacks and in the documentation
