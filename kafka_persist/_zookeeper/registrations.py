"""What a broker registers about itself at ``/brokers/ids/N``: JSON that anybody with access may have written.

A registration names listeners. The one with the wanted security protocol is taken, never another one: a broker that
offers TLS only is no broker for a client without TLS, and still less the other way round.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from ..errors import printable

MAX_BYTES: Final = 4096
"""A registration has some hundred bytes."""

PROTOCOLS: Final = frozenset({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"})

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9.])?")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")
_ENDPOINT = re.compile(r"([A-Za-z0-9_.-]+)://(.*):(\d{1,5})", re.DOTALL)


@attrs.frozen
class Brokers:
    """The usable ones, and why the others are not.

    Attributes:
        servers: ``host:port`` of each, in the order of their ids.
        ignored: for each unusable registration, which one and why, in one line.
    """

    servers: tuple[str, ...]
    ignored: tuple[str, ...]


class Malformed(Exception):  # noqa: N818 - never leaves this module
    """An invalid registration."""


def usable_brokers(registrations: Mapping[str, bytes], protocol: str) -> Brokers:
    """Choose each broker's listener for `protocol` ("PLAINTEXT", "SSL", ...)."""
    servers: list[str] = []
    ignored: list[str] = []
    for name in sorted(registrations, key=lambda each: (len(each), each)):
        try:
            servers.append(_server(name, registrations[name], protocol))
        except Malformed as problem:
            ignored.append(f"broker {printable(name, 40)}: {problem}")
    return Brokers(tuple(servers), tuple(ignored))


def _server(name: str, data: bytes, protocol: str) -> str:
    if not name.isascii() or not name.isdigit():
        raise Malformed("its id is not a number")
    found = _parse(data)
    offered: set[str] = set()
    for listener, host, port in _endpoints(found):
        offers = _protocol_of(listener, found)
        if offers == protocol:
            return f"{_checked_host(host)}:{_checked_port(port)}"
        offered.add(offers)
    raise Malformed(f"it has no listener for {protocol} (it offers {', '.join(sorted(offered)) or 'none'})")


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise Malformed(f"its registration has {len(data)} bytes, more than {MAX_BYTES}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("its registration is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed("its registration is not a JSON object")
    return found


def _endpoints(found: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Listener name, host and port of each listener; very old brokers register just one, without a name."""
    endpoints = found.get("endpoints")
    if endpoints is None and isinstance(found.get("host"), str):
        return [("PLAINTEXT", found["host"], str(found.get("port")))]
    if not isinstance(endpoints, list) or not all(isinstance(each, str) for each in endpoints):
        raise Malformed("its registration has no list of endpoints")
    matches = [_ENDPOINT.fullmatch(each) for each in endpoints]
    return [(match[1], match[2], match[3]) for match in matches if match is not None]


def _protocol_of(listener: str, found: Mapping[str, Any]) -> str:
    mapping = found.get("listener_security_protocol_map")
    if isinstance(mapping, dict) and isinstance(mapping.get(listener), str):
        return str(mapping[listener])
    return listener if listener in PROTOCOLS else f"unknown ({printable(listener, 20)})"


def _checked_host(host: str) -> str:
    if not _HOST.fullmatch(host) and not _IPV6.fullmatch(host):
        raise Malformed(f"{printable(host, 40)} is not a host name")
    return host


def _checked_port(port: str) -> int:
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise Malformed(f"{printable(port, 20)} is not a port")
    return int(port)
