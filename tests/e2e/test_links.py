"""The links of all pages lead somewhere: files, and headings of pages."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def pages() -> list[str]:
    """Return the Markdown files of the project."""
    tops = [each for each in PROJECT.iterdir() if not each.name.startswith(".")]
    found = [page for top in tops for page in ([top] if top.suffix == ".md" else top.rglob("*.md"))]
    return sorted(str(each.relative_to(PROJECT)) for each in found if "node_modules" not in each.parts)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return set(found)


@pytest.mark.parametrize("name", pages())
def test_relative_links(name: str) -> None:
    page = PROJECT / name
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_broken_link_is_found() -> None:
    """So that the test above can fail."""
    assert "a-tested-page" not in anchors(PROJECT / "README.md")
    assert "book-two-seats" in anchors(PROJECT / "README.md")
    assert LINK.findall("see [a](x.md#b), [c](https://d)") == ["x.md#b", "https://d"]
