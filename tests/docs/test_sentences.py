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

# Pages, or the parts of them that say what to do: the rest is a reference.
PARTS = [
    ("README.md", ""),
    ("docs/first-hour.md", ""),
    ("docs/benchmarks.md", ""),
    ("docs/glossary.md", ""),
    ("docs/operation.md", "## Levers"),
    ("docs/operation.md", "## What to do when"),
    ("docs/operation.md", "## Aborted is not for ever"),
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


def section(text: str, heading: str) -> str:
    """What is below a heading, to the next of its level; without a heading all."""
    if not heading:
        return text
    return text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("page", "heading"), PARTS)
def test_sentences_are_short(page: str, heading: str) -> None:
    """In pages that say what to do, sentences have below 20 words in the mean, and 40 at most."""
    found = sentences(section((ROOT / page).read_text(), heading))
    mean, longest = fmean(map(words, found)), max(found, key=words)
    print(
        f"{page} {heading}: {len(found)} sentences, mean {mean:.1f} words, longest {words(longest)}"
    )
    assert mean < MEAN_WORDS
    assert words(longest) <= MOST_WORDS, longest


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
