"""Effective settings as text, for logs and support requests."""

from __future__ import annotations

import attrs


def describe(settings: attrs.AttrsInstance, prefix: str) -> dict[str, str]:
    """Return all settings below `prefix`, by dotted names; secrets are shown as ``***``, as everywhere."""
    found: dict[str, str] = {}
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        name = f"{prefix}.{field.name.strip('_')}"
        found |= describe(value, name) if attrs.has(type(value)) else {name: repr(value)}
    return found
