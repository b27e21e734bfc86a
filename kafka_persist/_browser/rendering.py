"""Pages from templates. All that is stored is escaped: no payload, id or name becomes markup, and none moves other text.

Jinja escapes what a template inserts. Beside that, characters that do not print are shown as escape sequences: with
one that turns the direction of writing, a payload could make the text around it look like another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from .._commands.output import as_json, clean, moment
from .correlation import LINKS, named_event
from .differences import ABSENT

LONGEST: Final = 4000
"""Characters of an event that a list shows; its own page shows all."""


ONE_LINE: Final = 72
"""Characters that stay on one line."""


def pretty(value: Any) -> str:
    """JSON on as many lines as it needs, with nothing that does not print."""
    if value is ABSENT:
        return ""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > ONE_LINE:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return "\n".join(map(clean, text.split("\n")))


def shortened(text: str) -> tuple[str, int]:
    """The beginning of a text, and how many characters are left out."""
    return text[:LONGEST], max(0, len(text) - LONGEST)


def address(path: str, **query: Any) -> str:
    """An address of ours."""
    given = {key: value for key, value in query.items() if value is not None and value != ""}
    return f"{path}?{urlencode(given)}" if given else path


def iso(milliseconds: int) -> str:
    """A timestamp for programs; "" where no calendar has it."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def links_of(event: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What an event's metadata leads to: its name, the text and the address."""
    metadata = event["metadata"]
    found: list[tuple[str, str, str]] = []
    for key in LINKS if isinstance(metadata, dict) else ():
        value = metadata.get(key)
        if not isinstance(value, str):
            continue
        named = named_event(value)
        to = address("/correlation", value=value) if named is None else address("/event", id=named[0], nr=named[1])
        found.append((key, value, to))
        if named is not None:
            found.append((key, "all with this id", address("/correlation", value=value)))
    return found


def make_environment() -> Environment:
    """The templates of this package, with everything that they use."""
    found = Environment(
        loader=PackageLoader("kafka_persist._browser"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(shown=clean, pretty=pretty, moment=moment, iso=iso, line=as_json, shortened=shortened)
    found.globals.update(address=address, links_of=links_of)
    return found
