"""What is said about keys that are not ours: the original's that have no home here, and mistyped ones."""

from __future__ import annotations

from typing import Final

from .catalogue import known_properties, nearest
from .keys import JOURNAL, OPEN_SECTIONS, SECTIONS, SNAPSHOT_STORE, is_section, places

_DISPATCHER = (
    "has no meaning here: there are no dispatchers. Calls run on the Trio thread; write-concurrency is the number of "
    "producer clients and readers that of consumers; none of them has a thread of ours"
)
_STORES = {JOURNAL: "open_journal", SNAPSHOT_STORE: "open_snapshot_store"}

_WITHOUT_HOME: Final = {
    **{
        f"{section}.class": f"has no meaning here: {opener} opens the store, no class is looked up by name"
        for section, opener in _STORES.items()
    },
    **{f"{section}.plugin-dispatcher": _DISPATCHER for section in _STORES},
    **{f"{section}.default-dispatcher": _DISPATCHER for section in _STORES},
    f"{JOURNAL}.replay-buffer-events": "has no meaning any more: replay-batch-bytes bounds what a replay reads ahead",
    "akka": "has no meaning here: serializers are registered in code (kafka_persist.serialization), by explicit names",
}
"""The original's keys, and whole sections, that have no home; and keys that are gone."""


def refusal(path: str) -> str | None:
    """Return why one of the original's keys, or one that is gone, is refused; None if `path` is not one."""
    for key, reason in _WITHOUT_HOME.items():
        if path == key or path.startswith(f"{key}."):
            return reason
    return None


def unknown(path: str) -> str:
    """Return what is said about a key that is nobody's."""
    if is_section(path):
        return "is a section, not a key"
    section, name = _split(path)
    if section and (known := known_properties().get(name)) and not section.endswith((".topics", ".zookeeper")):
        home = {"P": "producer", "C": "consumer"}.get(known.scope, "client")
        return f"is a property of librdkafka; move it to the section {section}.{home}"
    if section == SNAPSHOT_STORE and f"{JOURNAL}.{name}" in places():
        return f"is not a key here, but {JOURNAL}.{name} is"
    near = nearest(name, _names(section), cutoff=0.6)
    return "is not a key" + (f"; did you mean {near if not section else f'{section}.{near}'}?" if near else "")


def _split(path: str) -> tuple[str, str]:
    found = [section for section in (*SECTIONS, *OPEN_SECTIONS) if path.startswith(f"{section}.")]
    section = max(found, key=len, default="")
    return section, path.removeprefix(f"{section}.") if section else path


def _names(section: str) -> list[str]:
    if not section:
        return [*places(), *SECTIONS, *OPEN_SECTIONS]
    return [path.removeprefix(f"{section}.") for path in (*places(), *OPEN_SECTIONS) if path.startswith(f"{section}.")]
