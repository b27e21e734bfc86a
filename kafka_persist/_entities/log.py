"""Log lines with a stable name: programs match the name, people read the text.

The name stands in the record's attribute ``event``, what it is about in ``persistence_id``; ``docs/live-entities.md`` lists all
names. One line is written for each change of state, not for each attempt.
"""

from __future__ import annotations

import logging
from typing import Final

INFO: Final = logging.INFO
WARNING: Final = logging.WARNING

_log = logging.getLogger("kafka_persist.entity")


def tell(level: int, event: str, text: str, **fields: object) -> None:
    """Log `text` under the name `event`; `fields` become attributes of the record."""
    if _log.isEnabledFor(level):
        _log.log(level, "%s", text, extra={"event": event, **fields}, stacklevel=2)
