"""A server's security: what its brokers are told to ask for, and what its users have to show."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from ._broker_config import CLIENTS
from .errors import InvalidSettings, ServerStateError
from .modes import Mode
from .security import ADMIN, Security

if TYPE_CHECKING:
    from ._certificates import Certificates
    from ._issuer import Issuer
    from ._probe import Probe

_LISTENER = f"listener.name.{CLIENTS.lower()}"
_LOGIN = "org.apache.kafka.common.security"
_AUTHORIZERS = {
    Mode.ZOOKEEPER: "kafka.security.authorizer.AclAuthorizer",
    Mode.KRAFT: "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}


class Guard:
    """Certificates, passwords and tokens of one server, made at its start.

    Args:
        security: What was asked for.
        directory: A private directory, for the certificates.
        mode: With ZooKeeper or without.

    Raises:
        ServerUnavailable: What makes certificates is not installed.
    """

    def __init__(self, security: Security, directory: Path, mode: Mode) -> None:
        self.security = security
        self._mode = mode
        self._passwords = {user: secrets.token_urlsafe(16) for user in security.everybody}
        self.certificates: Certificates | None = None
        self.issuer: Issuer | None = None
        if security.uses_tls:
            from ._certificates import Certificates

            self.certificates = Certificates(directory / "certificates", security.everybody)
        if "OAUTHBEARER" in security.sasl:
            from ._issuer import Issuer

            self.issuer = Issuer(self._passwords)

    def __repr__(self) -> str:
        return f"<Guard {self.security.protocol} users={list(self._passwords)}>"

    @property
    def java_options(self) -> tuple[str, ...]:
        """What the brokers' Java needs: it reads an issuer's keys only from addresses that it was told of."""
        if self.issuer is None:
            return ()
        return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.issuer.url}/keys",)

    def broker_properties(self) -> dict[str, str]:
        """What the brokers' configuration has for it."""
        found = {"security.protocol": self.security.protocol}
        if self.certificates is not None:
            found |= self.present("good") | self._tls(self.certificates)
        if self.security.sasl:
            found[f"{_LISTENER}.sasl.enabled.mechanisms"] = ",".join(self.security.sasl)
            for mechanism in self.security.sasl:
                found |= self._sasl(mechanism)
        if self.security.acls:
            # Those without a name come over the internal listener, on which only the brokers and this package are.
            found |= {
                "authorizer.class.name": _AUTHORIZERS[self._mode],
                "super.users": f"User:ANONYMOUS;User:{ADMIN}",
                "allow.everyone.if.no.acl.found": "false",
            }
        return found

    def present(self, certificate: str) -> dict[str, str]:
        """Which certificate the brokers show; may be changed while they run.

        Raises:
            ServerStateError: They show none.
        """
        if self.certificates is None:
            raise ServerStateError("this server has no certificate: Security(tls=True) does")
        path = self.certificates.key_and_chain(f"broker-{certificate}")
        return {f"{_LISTENER}.ssl.keystore.location": str(path)}

    def client_config(self, user: str | None, mechanism: str | None) -> dict[str, str]:
        """What a client of this user is configured with, but for the addresses.

        Raises:
            InvalidSettings: No such user, or the brokers do not accept this mechanism.
        """
        name = ADMIN if user is None else user
        if name not in self._passwords:
            raise InvalidSettings(f"no user {name!r}: Security(users=...) names {', '.join(self._passwords)}")
        found = {"security.protocol": self.security.protocol}
        if self.certificates is not None:
            found["ssl.ca.location"] = str(self.certificates.authority)
            if self.security.mutual_tls:
                path = str(self.certificates.key_and_chain(name))
                found |= {"ssl.key.location": path, "ssl.certificate.location": path}
        return found | self._client_sasl(name, mechanism)

    def prepare(self, probe: Probe) -> None:
        """Tell the brokers what is not in their configuration files: SCRAM keeps its passwords in the cluster."""
        scram = [mechanism for mechanism in self.security.sasl if mechanism.startswith("SCRAM")]
        for mechanism in scram:
            probe.set_scram_passwords(mechanism, self._passwords)

    def change_password(self, user: str, probe: Probe) -> None:
        """Give a user another password, which `client_config` then has; SCRAM only.

        Raises:
            ServerStateError: The brokers do not use SCRAM.
        """
        if not any(mechanism.startswith("SCRAM") for mechanism in self.security.sasl):
            raise ServerStateError("only SCRAM's passwords can be changed while brokers run")
        self._passwords[user] = secrets.token_urlsafe(16)
        self.prepare(probe)

    def close(self) -> None:
        """End the issuer. Idempotent."""
        issuer, self.issuer = self.issuer, None
        if issuer is not None:
            issuer.close()

    def _tls(self, certificates: Certificates) -> dict[str, str]:
        return {
            f"{_LISTENER}.ssl.keystore.type": "PEM",
            f"{_LISTENER}.ssl.truststore.type": "PEM",
            f"{_LISTENER}.ssl.truststore.location": str(certificates.authority),
            f"{_LISTENER}.ssl.client.auth": "required" if self.security.mutual_tls else "none",
            # A test may have the brokers show a wrong certificate.
            "ssl.allow.dn.changes": "true",
            "ssl.allow.san.changes": "true",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+),.*$/$1/,DEFAULT",
        }

    def _sasl(self, mechanism: str) -> dict[str, str]:
        prefix = f"{_LISTENER}.{mechanism.lower()}.sasl"
        jaas = f"{prefix}.jaas.config"
        if mechanism == "PLAIN":
            users = " ".join(f'user_{name}="{word}"' for name, word in self._passwords.items())
            return {jaas: f"{_LOGIN}.plain.PlainLoginModule required {users};"}
        if mechanism != "OAUTHBEARER":
            return {jaas: f"{_LOGIN}.scram.ScramLoginModule required;"}
        assert self.issuer is not None
        from ._issuer import AUDIENCE

        home = f"{_LOGIN}.oauthbearer"
        return {
            jaas: f"{home}.OAuthBearerLoginModule required;",
            f"{prefix}.server.callback.handler.class": f"{home}.OAuthBearerValidatorCallbackHandler",
            f"{_LISTENER}.sasl.oauthbearer.jwks.endpoint.url": f"{self.issuer.url}/keys",
            f"{_LISTENER}.sasl.oauthbearer.expected.audience": AUDIENCE,
            f"{_LISTENER}.sasl.oauthbearer.expected.issuer": self.issuer.url,
        }

    def _client_sasl(self, user: str, mechanism: str | None) -> dict[str, str]:
        if not self.security.sasl:
            return {}
        chosen = mechanism or self.security.sasl[0]
        if chosen not in self.security.sasl:
            raise InvalidSettings(f"mechanism must be of {', '.join(self.security.sasl)}, got {chosen!r}")
        if chosen != "OAUTHBEARER":
            return {"sasl.mechanism": chosen, "sasl.username": user, "sasl.password": self._passwords[user]}
        assert self.issuer is not None
        return {
            "sasl.mechanism": chosen,
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": self._passwords[user],
            "sasl.oauthbearer.token.endpoint.url": f"{self.issuer.url}/token",
        }
