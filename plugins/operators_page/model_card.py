"""Markdown of ours for the page, such as the model card that training writes: its blocks, as data that a template escapes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_SEPARATOR = re.compile(r"\|(\s*:?-+:?\s*\|)+")
_MARKS = re.compile(r"\*\*|`|(?<!\w)\*(?=\w)|(?<=[\w.])\*(?!\w)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, a list or a table."""

    kind: str
    """``heading``, ``text``, ``list`` or ``table``."""
    text: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    """Of a table; of a list the items, each a row of one cell."""


def blocks_of(markdown: str) -> list[Block]:
    """The text's blocks. Links are left out but for their words; pictures, too, for the page shows them beside it."""
    blocks: list[Block] = []
    for lines in _paragraphs(markdown):
        first = lines[0]
        if first.startswith("!["):
            continue
        if first.startswith("#"):
            blocks.append(Block("heading", _plain(first.lstrip("#"))))
        elif first.startswith("|"):
            cells = [_cells(line) for line in lines if not _SEPARATOR.fullmatch(line.strip())]
            blocks.append(Block("table", head=cells[0], rows=cells[1:]))
        elif first.startswith("- "):
            blocks.append(Block("list", rows=[[_plain(item)] for item in _items(lines)]))
        else:
            blocks.append(Block("text", _plain(" ".join(lines))))
    return blocks


def _paragraphs(markdown: str) -> Iterator[list[str]]:
    """Lines that belong together: what stands between empty lines, a heading by itself."""
    together: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if together and (not line.strip() or line.startswith("#") or together[0].startswith("#")):
            yield together
            together = []
        if line.strip():
            together.append(line)


def _items(lines: list[str]) -> Iterator[str]:
    """The items of a list, each of which may go on for some lines."""
    item: list[str] = []
    for line in [*lines, "- "]:
        if line.startswith("- ") and item:
            yield " ".join(item)
            item = []
        item.append(line.removeprefix("- ").strip())


def _cells(line: str) -> list[str]:
    return [_plain(cell) for cell in line.strip().strip("|").split("|")]


def _plain(text: str) -> str:
    return _MARKS.sub("", _LINK.sub(r"\1", text)).strip()
