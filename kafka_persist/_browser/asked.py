"""What stands in an address: ids and numbers, checked."""

from __future__ import annotations

from starlette.requests import Request

from ..errors import UsageError, printable
from ..model import MAX_SEQUENCE_NR, check_persistence_id


def asked_id(request: Request) -> str:
    """The persistence id that a page is about.

    Raises:
        UsageError: there is none, or it cannot be one.
    """
    return check_persistence_id(request.query_params.get("id", ""))


def asked_number(request: Request, key: str, default: int, low: int = 1) -> int:
    """A number out of the address.

    Raises:
        UsageError: it is none.
    """
    text = request.query_params.get(key, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(MAX_SEQUENCE_NR)) or int(text) < low:
        raise UsageError(f"{printable(text, 40)} is not a number from {low} on")
    return int(text)
