"""The page's files: nothing inline, nothing from elsewhere, enough contrast, words for all."""

import hashlib
import re
from importlib import resources

import pytest

from synapse_bgthrottle import schema
from synapse_bgthrottle.codec import OneOf, attributes

FOLDER = resources.files("synapse_bgthrottle.api").joinpath("page")
STYLE = FOLDER.joinpath("style.css").read_text("utf-8")
INDEX = FOLDER.joinpath("index.html").read_text("utf-8")
OURS = sorted(
    path.name
    for path in FOLDER.iterdir()
    if path.name.endswith(".js") and not path.name.startswith("uplot")
)

# As `npm pack uplot@1.6.32` has them.
UPLOT = {
    "uplot-1.6.32.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot-LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}

# Text, and what is behind it.
TEXTS = [
    *[(front, back) for front in ("text", "quiet") for back in ("page", "card", "sunk")],
    ("accent", "card"),
    ("on-accent", "accent"),
    ("text", "calm-back"),
    ("accent", "calm-back"),
    ("text", "bad-back"),
    ("text", "mild-back"),
    ("bad", "card"),
    ("good", "card"),
    *[(tone, f"{tone}-back") for tone in ("good", "mild", "bad", "calm")],
]
# What is to be seen without being read: lines of charts, bars, edges of fields, the focus.
SHAPES = [
    *[("line-a", back) for back in ("page", "card", "rail", "sunk")],
    *[("line-b", back) for back in ("card", "rail")],
    ("bad", "rail"),
    ("text", "rail"),
    ("firm", "card"),
]


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def palettes() -> dict[str, dict[str, str]]:
    first, second = re.findall(r":root \{(.*?)\}", STYLE, re.S)
    return {"light": colours(first), "dark": colours(second)}


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    """Black on white is 21, and the well-known grey is 4.54."""
    assert 21 == pytest.approx(contrast("#000000", "#ffffff"))
    assert 4.54 == pytest.approx(contrast("#767676", "#ffffff"), abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Text 4.5 at least, shapes 3."""
    palette = palettes()[scheme]
    for least, pairs in ((4.5, TEXTS), (3.0, SHAPES)):
        low = {
            pair: round(contrast(palette[pair[0]], palette[pair[1]]), 2)
            for pair in pairs
            if contrast(palette[pair[0]], palette[pair[1]]) < least
        }
        assert {} == low


def test_both_schemes_have_the_same_colours() -> None:
    """No colour of one scheme stands in the other."""
    light, dark = palettes().values()
    assert set(light) == set(dark)
    rules = STYLE.split("*, *::before", 1)[1]
    assert [] == re.findall(r"#[0-9a-fA-F]{3,8}\b", rules)


@pytest.mark.parametrize("name", OURS)
def test_no_way_for_markup(name: str) -> None:
    """Nothing of ours makes elements of text, styles of text, or code of text."""
    source = FOLDER.joinpath(name).read_text("utf-8")
    bad = r"\.innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|DOMParser"
    bad += r"|createContextualFragment|\.style\b|cssText|setHTML|localStorage"
    bad += r"|document\.cookie|location\.(href|hash|assign)|postMessage|import\("
    assert [] == re.findall(bad, source)
    assert ("sessionStorage" in source) is (name == "session.js")  # one place keeps the token
    assert [] == re.findall(r"https?://(?!www\.w3\.org/2000/svg)", source)


@pytest.mark.parametrize("name", OURS)
def test_modules_are_of_readable_size(name: str) -> None:
    """A module has one subject: at most 250 lines, none over 160 characters."""
    lines = FOLDER.joinpath(name).read_text("utf-8").splitlines()
    assert len(lines) <= 250
    assert [] == [line for line in lines if len(line) > 160]


def test_the_document() -> None:
    """No script and no style stands in it, and all it names stands beside it."""
    assert [] == re.findall(r"<style|\sstyle=|\son\w+=", INDEX)
    assert all(" src=" in tag for tag in re.findall(r"<script.*?>", INDEX))
    names = re.findall(r'(?:src|href)="(.*?)"', INDEX)
    assert names
    for name in names:
        assert FOLDER.joinpath(name.removeprefix("page/")).is_file()
    # The token's field has no name: no form, not even a broken one, could send it anywhere.
    (field,) = re.findall(r'<input id="token".*?>', INDEX)
    assert " name=" not in field


@pytest.mark.parametrize(
    ("module", "table", "record", "name"),
    [
        ("changes", "STATES", schema.DatabaseStatus, "state"),
        ("journal", "DID", schema.Use, "action"),
        ("journal", "KINDS", schema.Lever, "kind"),
        ("journal", "OUTCOMES", schema.HistoryEntry, "outcome"),
        ("overview", "TITLES", schema.StatedProblem, "kind"),
        ("queue", "ENGINES", schema.DatabaseStatus, "engine"),
        ("signals", "CLASSES", schema.StatedSignal, "kind"),
    ],
)
def test_the_page_has_words_for_each(module: str, table: str, record: type, name: str) -> None:
    """Whatever the API says of a kind, an outcome or a state, the page has its own words for it."""
    marks = next(each.marks for each in attributes(record) if each.name == name)
    (one_of,) = (mark for mark in marks if isinstance(mark, OneOf))
    source = FOLDER.joinpath(f"{module}.js").read_text("utf-8")
    (words,) = re.findall(rf"^const {table} = \{{(.*?)\}};", source, re.M | re.S)
    assert set() == set(one_of.values) - set(re.findall(r"(\w+): ", words))


@pytest.mark.parametrize("name", UPLOT)
def test_uplot_is_as_it_was_published(name: str) -> None:
    """The library is not ours to change; its licence comes with it."""
    assert UPLOT[name] == hashlib.sha256(FOLDER.joinpath(name).read_bytes()).hexdigest()
