"""Faults of the network as words: what `python -m kafka_persist_testkit server --proxies` and `proxy` read from standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .errors import InvalidSettings
from .proxy import TcpProxy


def apply(line: str, proxies: Mapping[str, TcpProxy]) -> str:
    """Do what a line says; return what to tell the user.

    Args:
        line: A fault, perhaps after the name of a proxy: `latency 0.2`, `broker-1 hold`, `show`.
        proxies: By their names; all of them if none is named.

    Raises:
        InvalidSettings: It says nothing that can be done.
    """
    words = line.split()
    named = [proxies[words.pop(0)]] if words and words[0] in proxies else list(proxies.values())
    if words and words != ["show"]:
        _do(words[0], " ".join(words[1:]), named)
    return "\n".join(map(repr, named))


def _do(fault: str, value: str, proxies: Iterable[TcpProxy]) -> None:
    action, setting = _ACTIONS.get(fault), _SETTINGS.get(fault)
    if action is None and setting is None:
        raise InvalidSettings(f"unknown fault {fault!r}; there are {', '.join([*_SETTINGS, *_ACTIONS])}, and show")
    if action is not None and value:
        raise InvalidSettings(f"{fault} takes no value")
    for proxy in proxies:
        if action is not None:
            action(proxy)
        elif setting is not None:
            _set(proxy, fault, setting, value)


def _set(proxy: TcpProxy, fault: str, read: Callable[[str], object], value: str) -> None:
    try:
        setattr(proxy, fault.replace("-", "_"), read(value))
    except (KeyError, ValueError) as error:
        raise InvalidSettings(f"{fault} cannot be {value or 'without a value'!r}") from error


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(text)
    return seconds


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise ValueError(text)
    return rate


def _bytes(text: str) -> bytes:
    if not text:
        raise ValueError(text)
    return text.encode()


_SETTINGS: Mapping[str, Callable[[str], object]] = {
    "latency": _seconds,
    "jitter": _seconds,
    "bandwidth": _rate,
    "cut-after": int,
    "flip": _bytes,
    **dict.fromkeys(("deaf", "black-hole", "refuse"), {"on": True, "off": False}.__getitem__),
}
_ACTIONS: Mapping[str, Callable[[TcpProxy], None]] = {
    "deafen": TcpProxy.deafen,
    "reset": TcpProxy.reset,
    "hold": TcpProxy.hold,
    "admit": TcpProxy.admit,
    "release": TcpProxy.release,
    "heal": TcpProxy.heal,
}
