"""What README.md says, taken apart: its commands, its code and the names in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str = README) -> list[str]:
    """Every run of indented lines, blank lines within included, without the indentation."""
    found = re.findall(r"(?:^(?: {4}.*| *)\n)+", text, re.MULTILINE)
    return ["\n".join(line[4:] for line in block.strip("\n").splitlines()) for block in found if block.strip()]


def block(word: str) -> str:
    """The one block in which this word stands."""
    [found] = [block for block in blocks() if word in block]
    return found


def commands(block: str) -> list[str]:
    """The commands of a block, each with the lines that it goes on in joined, and without comments."""
    joined = re.sub(r"\s*\\\n\s*", " ", block)
    return [command for line in joined.splitlines() if (command := re.sub(r"\s+#.*", "", line).strip())]


def code() -> list[str]:
    """All commands of blocks, and all that stands between backticks."""
    inline = re.findall(r"`([^`\n]+)`", README)
    return [*inline, *(command for found in blocks() for command in commands(found))]


def links() -> list[str]:
    """Where links lead."""
    return re.findall(r"\]\(([^)\s]+)\)", README)
