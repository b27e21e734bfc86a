"""Ids that a query language understands, each beside the ids that it would reach by mistake."""

from __future__ import annotations

PATTERNS: tuple[tuple[str, ...], ...] = (
    ("%", "", "x", "xyz", "%%"),
    ("_", "x", "__", "\\_"),
    ("*", "", "x", "xyz", "**"),
    ("?", "x", "??"),
    ("[abc]", "a", "b", "[a]"),
    ("[!a]", "b", "[!b]"),
    ("{a,b}", "a", "b"),
    (".", "x", ".*", ".+"),
    ("\\", "\\\\", "/", ""),
    ("'", "''", '"', "\\'"),
    ("x' OR '1'='1", "x", "x''"),
    ("Ab", "ab", "AB", "aB"),
    ("\u0130", "i", "I", "\u0131", "i\u0307"),
    ("\u00df", "ss", "SS", "\u1e9e"),
    ("x|y", "x", "y"),
    ("a\x00b", "a", "a\x00", "a\x00c"),
    ("a b", "a+b", "a%20b", "a_20b", "a=20b", "a  b"),
    ("a%b", "a%25b", "a_25b", "a%2525b"),
    ("+1", "1", "01", "1.0", "1e0"),
    ("a:1", "a", "a:1:1", "a:11"),
    ("a/1", "a", "a/1/1", "a/11", "a1"),
    ("a\n", "a", "a\r\n", "a\\n"),
    ("~", "\x7f", "\uffff", "\U0010ffff"),
)
"""The first of each group is the one that is asked for; the others must not be reached."""


def names(prefix: str) -> list[list[str]]:
    """Return the groups as ids: each character stands at the end and in the middle of an id."""
    ends = [[f"{prefix}{number}-{part}" for part in group] for number, group in enumerate(PATTERNS)]
    middles = [[f"{prefix}m{number}-{part}-z" for part in group] for number, group in enumerate(PATTERNS[:9])]
    return ends + middles
