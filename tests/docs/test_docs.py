"""The documentation is complete and true, and its examples work."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synapse_bgthrottle.cli.inputs.config_file import MODULE
from synapse_bgthrottle.cli.main import SUMMARIES, command_of
from synapse_bgthrottle.core.config.keys import MATCH_KEYS, SETTING_KEYS, TOP_KEYS
from synapse_bgthrottle.core.config.limits import Limits, merge
from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.effective_limits import LEAST_BATCH_ITEMS
from synapse_bgthrottle.core.scheduling.holds import PRECEDENCE

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    (page.name, number, block)
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S))
]


def module_config(content: Any) -> Any:
    """The module's part of a block: of a whole homeserver.yaml, or the block itself."""
    if "modules" in content:
        (entry,) = (entry for entry in content["modules"] if entry["module"] == MODULE)
        return entry["config"]
    return content


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS)
def test_yaml_blocks(page: str, number: int, block: str) -> None:
    """Every YAML block of the documentation is a valid configuration."""
    parse(module_config(yaml.safe_load(block)))


def test_there_are_blocks() -> None:
    """The README and the reference have blocks for the test above to find."""
    assert {"README.md", "configuration.md"} <= {page for page, _, _ in BLOCKS}


def test_readme_example() -> None:
    """The README begins with no settings, then its rules do what it says of them."""
    page = (ROOT / "README.md").read_text()
    begin, rules = (yaml.safe_load(block) for name, _, block in BLOCKS if name == "README.md")
    assert {} == module_config(begin)
    assert parse({}).settings == parse(module_config(begin)).settings
    config = parse(module_config(rules))
    search, shots = config.rules
    assert "balanced" == config.settings.profile == str(Limits().profile)
    assert search.matches("event_search", "master", False)
    assert 200 == search.settings.max_items_per_second
    assert "The search index is now filled at 200 events a second at most." in page
    assert not search.matches("an_index", "master", True)
    assert shots.matches("an_index", "master", True)
    assert not shots.matches("another_update", "master", False)
    assert ["mon,tue,wed,thu,fri 01:00 to 05:00"] == [str(w) for w in shots.settings.windows or ()]
    assert "UTC" == str(merge([shots.settings, config.settings]).time_zone)
    assert "between 1 and 5 at night (UTC), on\nworking days" in page


def test_sample_config() -> None:
    """sample_config.yaml is valid, has every key, and its top level shows the real defaults."""
    text = (ROOT / "sample_config.yaml").read_text()
    config = parse(yaml.safe_load(text))
    for key in (*SETTING_KEYS, *MATCH_KEYS, "rules"):
        assert re.search(rf"\b{key}:", text), key
    shown = merge([config.settings])
    for name in ("target_duration_ms", "pace", "default_batch_items", "min_batch_items"):
        assert getattr(Limits(), name) == getattr(shown, name)
    assert Limits().max_batch_items == shown.max_batch_items
    assert Limits().max_items_per_second == shown.max_items_per_second
    assert Limits().max_hold_ms == shown.max_hold_ms
    assert Limits().windows == shown.windows
    assert "UTC" == str(shown.time_zone) == str(Limits().time_zone)


def test_every_key_is_documented() -> None:
    """The reference has a row for each key, with the version that brought it."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for key in (*SETTING_KEYS, "rules"):
        assert re.search(rf"^\| `{key}` \|[^|]*\| 0\.\d+ \| \S", text, re.M), key
    for key in MATCH_KEYS:
        assert re.search(rf"^\| `{key}` \| 0\.\d+ \| \S", text, re.M), key


def test_examples_of_keys() -> None:
    """The example of each key in the reference is a valid configuration that sets it."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| 0\.\d+ \|.*\| `([^`]*)` \|$", text, re.M)
    examples = {key: yaml.safe_load(example) for key, example in rows}
    assert set(TOP_KEYS) <= set(examples)
    for key, example in examples.items():
        assert [key] == list(example)
        assert parse({}) != parse(example)


def test_every_quirk_is_documented() -> None:
    """The reference names each update that never gets a small batch."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name in LEAST_BATCH_ITEMS:
        assert f"`{name}`" in text


def test_precedence_is_documented_in_the_words_of_the_code() -> None:
    """What holds an update is documented in the order and in the words of the list that decides."""
    page = (ROOT / "docs" / "holds.md").read_text()
    documented = re.findall(r"^\| (\d) \| `(\w+)` \| ([^|]*) \|", page, re.M)
    assert len(PRECEDENCE) == len(documented)
    for (cause, words, _), (number, name, text), place in zip(
        PRECEDENCE, documented, range(1, 10), strict=True
    ):
        assert (cause.value, str(place)) == (name, number)
        assert text.startswith(words)


def test_precedence_is_the_order_of_causes() -> None:
    """Causes are listed in the order in which they take precedence: all that hold an update."""
    assert [cause for cause in Cause if cause.is_hold] == [cause for cause, _, _ in PRECEDENCE]


def test_every_command_is_documented() -> None:
    """Each command of `bgthrottle` is in the documentation, with an example in its help."""
    text = "".join(page.read_text() for page in PAGES)
    for name in SUMMARIES:
        assert f"bgthrottle {name}" in text
        assert f"bgthrottle {name} " in (command_of(name).help or "")


def test_documented_commands() -> None:
    """Each command line in the documentation names a command, and options that it has."""
    line = re.compile(r"(?:`|\$ |^ +)bgthrottle ([a-z][a-z-]*)(?= |`|$)([^`\n#|&]*)", re.M)
    lines = {found for page in PAGES for found in line.findall(page.read_text())}
    assert {"status", "pause", "set", "check"} <= {name for name, _ in lines}
    for name, arguments in lines:
        assert name in SUMMARIES, name
        known = {o for parameter in command_of(name).params for o in parameter.opts}
        assert set(re.findall(r" (--?[a-z-]+)", arguments)) <= {*known, "--help"}, (name, arguments)


def test_every_folder_is_documented() -> None:
    """The tree of the package names each of its folders, at its place, and no other."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (tree,) = re.findall(r"```text\nsynapse_bgthrottle/\n(.*?)```", text, re.S)
    named: list[str] = []
    path: list[str] = []
    for indent, name in re.findall(r"^( +)(\w+)/(?: |$)", tree, re.M):
        path[len(indent) // 2 - 1 :] = [name]
        named.append("/".join(path))
    package = ROOT / "synapse_bgthrottle"
    folders = {path.parent for path in package.rglob("*.*") if "__pycache__" not in path.parts}
    assert sorted(str(f.relative_to(package)) for f in folders - {package}) == sorted(named)


def test_every_make_target_is_documented() -> None:
    """Every target that the documentation names exists, and `make help` tells each."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets
    assert targets - {"help"} == set(re.findall(r'"make ([a-z-]+) ', makefile))
    phony = makefile.split(".PHONY:")[1].split("\n\n")[0].replace("\\", "")
    assert targets == set(phony.split())


def test_workflow_calls_make_targets() -> None:
    """What runs elsewhere is what runs here: a step of the workflow is an action or a target."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    (path,) = (ROOT / ".github" / "workflows").iterdir()
    steps = [
        step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]
    ]
    commands = [step["run"].split() for step in steps if "run" in step]
    assert {"lint", "test", "demo"} <= {words[1] for words in commands}
    for program, *arguments in commands:
        assert "make" == program
        assert {word for word in arguments if "=" not in word} <= targets


def _texts() -> Iterator[str]:
    """The texts of the package, with a NUL where a value stands."""
    for path in (ROOT / "synapse_bgthrottle").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub("%[sd]", "\0", node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "\0" for part in node.values
                )
                yield "".join(map(str, parts))


def test_documented_log_lines() -> None:
    """Each log line of the reference is one of the code, apart from values."""
    texts = "\n".join(_texts())
    lines = re.findall(r"^\| `([^`]+)` ", (ROOT / "docs" / "log.md").read_text(), re.M)
    assert 15 < len(lines)
    for line in lines:
        parts = re.split(r"\b(?:NAME|DATABASE|SIGNAL)\b|\.\.\.|\d\w*|@\S+|: building.*", line)
        for part in parts:
            if len(part.split()) > 1:
                assert part.strip() in texts, line
