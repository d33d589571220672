"""Sentences of the pages that administrators read are short.

`pytest tests/docs/test_sentences.py -rP` shows the figures of each page.
"""

import re
from pathlib import Path
from statistics import fmean

import pytest

ROOT = Path(__file__).parent.parent.parent
MEAN_WORDS = 20
MOST_WORDS = 40
MEAN_WORDS_OF_BACKGROUND = 22

INDEX = ROOT / "docs" / "README.md"
_KIND = re.compile(r"^## ([\w-]+): ")
_PAGE = re.compile(r"\]\(([\w/.-]+\.md)\)")


def pages_by_kind() -> dict[str, list[str]]:
    """The pages that the index lists under each kind."""
    kinds: dict[str, list[str]] = {}
    for line in INDEX.read_text().splitlines():
        if kind := _KIND.match(line):
            listed = kinds.setdefault(kind[1], [])
        elif line.startswith(("- ", "  ")):
            listed += _PAGE.findall(line)
    return kinds


KINDS = pages_by_kind()
AT_THE_ROOT = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
SUBPAGES = [path.relative_to(INDEX.parent).as_posix() for path in INDEX.parent.glob("*/*.md")]
TO_BE_SHORT = [
    f"docs/{page}" for kind in ("Tutorial", "How-to", "Reference") for page in KINDS[kind]
]

_NOT_PROSE = re.compile(
    r"^( *)```[\s\S]*?^\1```$"  # blocks
    r"|(?<=\n\n) {4,}\S.*(?:\n {4,}\S.*)*"  # and indented ones
    r"|^ *\|.*$"  # tables
    r"|^#+ .*$"  # headings
    r"|<[^>]+>"
    r"|!\[[^]]*\]\([^)]*\)",
    re.M,
)
_CODE = re.compile(r"(`+).+?\1", re.S)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_PARAGRAPH = re.compile(r"\n\s*\n|^ *(?:[-*]|\d+\.) +", re.M)
_END = re.compile(r"(?<=[.!?])[*_)\"]*\s+(?![a-z])")
_WORD = re.compile(r"\w[\w'.,:/%-]*")


def sentences(text: str) -> list[str]:
    """Those of the prose. What stands in backquotes is one word, whatever is in it."""
    prose = _LINK.sub(r"\1", _CODE.sub("Code", _NOT_PROSE.sub("\n\n", text)))
    parts = (part for paragraph in _PARAGRAPH.split(prose) for part in _END.split(paragraph))
    return [" ".join(part.split()) for part in parts if words(part)]


def words(sentence: str) -> int:
    return len(_WORD.findall(sentence))


@pytest.mark.parametrize("page", [*AT_THE_ROOT, "docs/benchmarks.md", *TO_BE_SHORT])
def test_sentences_are_short(page: str) -> None:
    """What administrators read has below 20 words a sentence in the mean, and 40 at most."""
    found = sentences((ROOT / page).read_text())
    mean, longest = fmean(map(words, found)), max(found, key=words)
    print(f"{page}: {len(found)} sentences, mean {mean:.1f} words, longest {words(longest)}")
    assert mean < MEAN_WORDS
    assert words(longest) <= MOST_WORDS, longest


@pytest.mark.parametrize("page", sorted({*KINDS["Background"], *SUBPAGES}))
def test_background_is_readable(page: str) -> None:
    """Pages to understand by, and those in folders: below 22 words in the mean, and 40 at most."""
    found = sentences((INDEX.parent / page).read_text())
    mean, longest = fmean(map(words, found)), max(found, key=words)
    print(f"{page}: {len(found)} sentences, mean {mean:.1f} words, longest {words(longest)}")
    assert mean < MEAN_WORDS_OF_BACKGROUND
    assert words(longest) <= MOST_WORDS, longest


def test_each_page_is_of_one_kind() -> None:
    """The index lists each page of `docs` under one kind, and no other page."""
    listed = [page for pages in KINDS.values() for page in pages]
    assert sorted(path.name for path in INDEX.parent.glob("*.md") if path != INDEX) == sorted(
        page for page in listed if "/" not in page
    )


def test_what_a_sentence_is() -> None:
    """Blocks, tables and headings are no sentences; items of lists and paragraphs end them."""
    text = """\
# A heading

It says `bgthrottle pause --for 2h`, and [links](to.md#here). The [second
one](there.md) has 1.5 words, i.e. more:

    indented. Code. Is

    left. Out.

- **An item.** No end
- Another, which is `a
  code`

```text
No. Prose.
```

| a | table. |
|---|---|
"""
    found = [
        "It says Code, and links.",
        "The second one has 1.5 words, i.e. more:",
        "**An item.",
        "No end",
        "Another, which is Code",
    ]
    assert found == sentences(text)
    assert [5, 8, 2, 2, 4] == [words(sentence) for sentence in found]
