"""The event that both sides write and read: about 250 bytes with a dozen fields, as business events are."""

from __future__ import annotations

from typing import Any

import cbor2

PAYLOAD: dict[str, Any] = {
    "kind": "MoneyTransferred",
    "from": {"account": "DE-4711-0815", "branch": 12},
    "to": {"account": "FR-1234-5678", "branch": 7},
    "amount": {"cents": 1_234_567, "currency": "EUR"},
    "by": {"user": "ada", "role": "clerk", "terminal": 42},
    "reasons": ["invoice", "2026-11", "partial"],
    "checked": True,
    "note": "second instalment, see letter",
}

VALUE = cbor2.dumps(PAYLOAD)
