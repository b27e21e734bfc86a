"""Programs match the names of log lines, so each line has one, and each name is in the manual."""

from __future__ import annotations

import ast
import re

LEVELS = {"info", "warning", "error", "critical", "exception", "log"}
NAME = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")


def calls(modules):
    """Each call that logs above debug, with its place."""
    for name, each in modules.items():
        if name.split(".")[0] == "kafka_persist":
            for node in ast.walk(each.tree):
                if isinstance(node, ast.Call) and is_logging(node.func):
                    yield f"{each.path}:{node.lineno}", node


def is_logging(func):
    return isinstance(func, ast.Attribute) and func.attr in LEVELS and getattr(func.value, "id", "") == "_log"


def events_of(call):
    """The constant that the call gives as `event`; none where it is passed through."""
    return [
        value
        for keyword in call.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
        for key, value in zip(keyword.value.keys, keyword.value.values, strict=True)
        if getattr(key, "value", "") == "event"
    ]


def told(modules):
    """Names that are passed to a function which logs under a name: its second or its first argument."""
    for each in modules.values():
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"tell", "_tell"}:
                yield from (arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant))


def test_every_line_has_a_name(modules):
    assert [place for place, call in calls(modules) if not events_of(call)] == []


def test_every_name_is_in_the_manual_and_none_that_is_gone(modules, root):
    names = {value.value for _, call in calls(modules) for value in events_of(call) if isinstance(value, ast.Constant)}
    names |= set(told(modules))
    pages = [(root / "docs" / page).read_text("utf-8") for page in ("runbook.md", "live-entities.md", "projections.md")]
    rows = {match[1] for text in pages for match in re.finditer(r"^\| `([^`]+)` \|", text, re.MULTILINE)}
    assert len(names) > 30
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert {row for row in rows if NAME.fullmatch(row)} == names
