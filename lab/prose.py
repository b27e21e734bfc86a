"""`python -m lab.prose`: looks for words and names that the glossary rules out.

The rules are the tables of `docs/glossary.md`, so that the page that people read is the one that the tool reads. Checked are
the documentation without its code, docstrings, other texts of the code that have several words (errors, help), and the names of
classes, functions, arguments and attributes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[1]
GLOSSARY: Final = "docs/glossary.md"
PAGES: Final = ("README.md", "SECURITY.md", "docs/**/*.md", "newsfragments/*.md")
PACKAGES: Final = ("kafka_persist", "kafka_persist_testkit", "compat_suite", "lab", "examples")


@attrs.frozen
class Rule:
    """Something that is not written: what finds it, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


@attrs.frozen
class Glossary:
    """The rules for names in code, and those for phrases in texts."""

    names: tuple[Rule, ...]
    phrases: tuple[Rule, ...]


@attrs.frozen
class Finding:
    """Where a rule is broken."""

    path: Path
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found!r}; write {self.instead}"


def read_glossary(text: str) -> Glossary:
    """Read the rules from a page with the sections "Names in code" and "Phrases".

    The last cell of each row has what is not written, the one before it what is; `/.../` is a regular expression.

    Raises:
        ValueError: a row names nothing that is not written.
    """
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return Glossary(
        names=tuple(_rules(sections["Names in code"], lambda word: re.compile(rf"_*{re.escape(word)}"))),
        phrases=tuple(_rules(sections["Phrases"], _phrase)),
    )


def _rules(section: str, compiled: Callable[[str], re.Pattern[str]]) -> Iterator[Rule]:
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    for *_, instead, unwanted in rows[2:]:  # after the heading and the line below it
        words = re.findall(r"`([^`]+)`", unwanted)
        if not words:
            raise ValueError(f"{GLOSSARY}: this row rules nothing out: {unwanted}")
        yield from (Rule(compiled(word), instead) for word in words)


def _phrase(word: str) -> re.Pattern[str]:
    expression = word[1:-1] if word.startswith("/") else re.escape(word)
    return re.compile(rf"\b(?:{expression})\b".replace(r"\ ", " ").replace(" ", r"\s+"), re.IGNORECASE)


def check_text(path: Path, text: str, first_line: int, rules: Iterable[Rule]) -> Iterator[Finding]:
    """Find what the rules for phrases rule out."""
    for rule in rules:
        for match in rule.pattern.finditer(text):
            yield Finding(path, first_line + text.count("\n", 0, match.start()), match[0], rule.instead)


def check_page(path: Path, text: str, glossary: Glossary) -> Iterator[Finding]:
    """Check a page of the documentation: all of it that is not code."""
    without_code = re.sub(r"^```.*?^```|`[^`\n]+`", _blank, text, flags=re.MULTILINE | re.DOTALL)
    yield from check_text(path, without_code, 1, glossary.phrases)


def _blank(match: re.Match[str]) -> str:
    """Keep the lines, so that findings have the right numbers."""
    return re.sub(r"[^\n]", "_", match[0])


def check_module(path: Path, text: str, glossary: Glossary) -> Iterator[Finding]:
    """Check a module: its texts and its names."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for finding in check_text(path, node.value, node.lineno, glossary.phrases):
                # A line of the text need not be one of the source: "\n" is on the line that it is written in.
                yield attrs.evolve(finding, line=min(finding.line, node.end_lineno or finding.line))
        else:
            name, line = _named(node)
            for rule in glossary.names:
                if rule.pattern.fullmatch(name):
                    yield Finding(path, line, name, rule.instead)


def _named(node: ast.AST) -> tuple[str, int]:
    """The name that a node gives to something, and its line; "" if it names nothing."""
    match node:
        case ast.ClassDef(name=name, lineno=line) | ast.FunctionDef(name=name, lineno=line):
            return name, line
        case ast.AsyncFunctionDef(name=name, lineno=line) | ast.arg(arg=name, lineno=line):
            return name, line
        case ast.Name(id=name, ctx=ast.Store(), lineno=line) | ast.Attribute(attr=name, ctx=ast.Store(), lineno=line):
            return name, line
    return "", 0


def check_tree(root: Path) -> list[Finding]:
    """Check all pages and modules of the project but the glossary itself."""
    glossary = read_glossary((root / GLOSSARY).read_text("utf-8"))
    pages = [path for pattern in PAGES for path in root.glob(pattern) if "_build" not in path.parts]
    modules = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    findings: list[Finding] = []
    for path in sorted({*pages, *modules} - {root / GLOSSARY}):
        check = check_module if path.suffix == ".py" else check_page
        findings.extend(check(path.relative_to(root), path.read_text("utf-8"), glossary))
    return findings


def main() -> int:
    """Print what is found; 1 if there is anything."""
    findings = check_tree(ROOT)
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
