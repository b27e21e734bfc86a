"""What changed between two pieces of plain data, as paths with the values before and after (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

MAX_SHOWN: Final = 200
"""Changes that are shown; of more, so many."""


class Absent:
    """There is no value at this place."""

    def __repr__(self) -> str:
        return "(nothing)"


ABSENT: Final = Absent()


class Change(NamedTuple):
    """One place that differs.

    Attributes:
        path: where, as in ``.lines[0].count``; "" for the whole.
        before: the value there; `ABSENT` if there was none.
        after: the same.
    """

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> str:
        """In one word."""
        return "new" if self.before is ABSENT else "gone" if self.after is ABSENT else "changed"


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Compare two values as `kafka_persist._commands.plain_json.to_json` makes them."""
    if type(before) is type(after) is dict:
        for key in [*before, *(key for key in after if key not in before)]:
            yield from changes(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}")
    elif type(before) is type(after) is list:
        for place in range(max(len(before), len(after))):
            was = before[place] if place < len(before) else ABSENT
            now = after[place] if place < len(after) else ABSENT
            yield from changes(was, now, f"{path}[{place}]")
    elif type(before) is not type(after) or before != after:
        yield Change(path, before, after)
