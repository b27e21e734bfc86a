"""`docs/llms.txt` leads programs that read documentation to each page of it, with what stands at its beginning.

After a page was added or its first sentence changed: ``python tests/docs/test_llms.py``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
HEAD = """\
# kafka_persist

> Event sourcing on Apache Kafka for Trio programs (Python 3.11 and later, Linux): entities, snapshots, publishing, read models, a test kit with a
> real Kafka, a command line and an event browser. Not for asyncio.

Most programs need `EntityType`, `Serializer`, `open_persistence`, `load_config` and `persistence.entities()`; `open_memory_persistence` is the same
in memory. Commands are plain functions of a state that return events. Every name that programs use is importable from `kafka_persist`.
"""


def sections():
    """The captions of the index, with the pages below each."""
    text = (DOCS / "index.md").read_text("utf-8")
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        caption = re.search(r":caption: (.*)", block)[1]
        names = [line for line in block.splitlines() if line and not line.startswith(":")]
        yield caption, [page for name in names for page in sorted(DOCS.glob(f"{name}.md"))]


def line_of(page):
    """A page's title and its first sentence."""
    text = re.sub(r"^\(.*\)=\n", "", page.read_text("utf-8"))
    title = re.search(r"^# (.*)", text, re.MULTILINE)
    body = text[title.end() :] if title else ""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "another page", body)
    paragraph = next((part for part in re.split(r"\n\s*\n", plain) if re.match(r"\s*([A-Z*]|`(?!``))", part)), "")
    sentence = re.split(r"(?<=[.:])\s", " ".join(paragraph.split()))[0].rstrip(".:")
    return f"- [{title[1] if title else page.stem}]({page.relative_to(DOCS).with_suffix('.html')}){f': {sentence}' if sentence else ''}"


def text():
    parts = [f"## {caption}\n\n" + "\n".join(map(line_of, pages)) for caption, pages in sections()]
    return "\n\n".join([HEAD.rstrip(), *parts]) + "\n"


def test_every_page_is_in_it_with_its_first_sentence():
    assert (DOCS / "llms.txt").read_text("utf-8") == text()


if __name__ == "__main__":
    (DOCS / "llms.txt").write_text(text(), "utf-8")
    sys.stdout.write(text())
