"""Everything to which the documentation refers exists: pages, headings, files, programs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
FOLDERS = frozenset(path.name for path in ROOT.iterdir() if path.is_dir())

_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.M | re.S)
_LINK = re.compile(r"(?:\]\(|\b(?:href|src)=\")([^)\"\s]+)[)\"]")
_HEADING = re.compile(r"^#+ +(.*)$", re.M)
_PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:js|json|md|mjs|py|yaml))`")
_PROGRAM = re.compile(r"python -m ((?:\w+\.)*\w+)")


def prose(page: Path) -> str:
    """Without blocks of code, where brackets and number signs mean something else."""
    return _BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings; it numbers those that occur again."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = (f"{words}-{number}" for number in range(1, 100))
        found.add(words if words not in found else next(a for a in again if a not in found))
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page: Path) -> None:
    """Every relative link leads to a file, and to a heading where it names one."""
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_files(page: Path) -> None:
    """Every file that is named with a folder of the repository is there."""
    for path in _PATH.findall(prose(page)):
        if path.partition("/")[0] in FOLDERS:
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_programs(page: Path) -> None:
    """Every program that is told to be run is there."""
    for module in _PROGRAM.findall(page.read_text()):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_every_page_is_reached() -> None:
    """From the README every page can be found by links alone."""
    reached, new = set(), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        links = {link.partition("#")[0] for link in _LINK.findall(prose(page))}
        targets = {(page.parent / link).resolve() for link in links if link.endswith(".md")}
        new |= targets - reached
    assert set(PAGES) == reached
