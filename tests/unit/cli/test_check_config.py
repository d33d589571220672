"""`check-config` and `explain --config`, with files as distributions and people write them."""

import os
from pathlib import Path

import pytest

from synapse_bgthrottle.cli.inputs.config_file import MODULE
from synapse_bgthrottle.cli.inputs.synapse_source import installed_update_names
from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES
from tests.unit.cli.fakes import FakeServer, run

_HOMESERVERS = Path(__file__).parent / "homeservers"
_SEVERAL = {
    "debian": ("homeserver.yaml", "conf.d"),
    "helm": ("homeserver.yaml", "secrets.yaml", "throttle.yaml"),
}
_ONE = ("ansible.yaml", "yunohost.yaml", "nix.yaml")


def _written(folder: Path, name: str, entry: str) -> list[Path]:
    """The files of a distribution with this entry; in the order in which Synapse is given them."""
    source = _HOMESERVERS / name
    for file in (source,) if source.is_file() else source.rglob("*.yaml"):
        there = folder / file.relative_to(_HOMESERVERS)
        there.parent.mkdir(parents=True, exist_ok=True)
        indented = (
            entry if "- bind_addresses" not in file.read_text() else entry.replace("\n  ", "\n")[2:]
        )
        there.write_text(file.read_text().replace("MODULE", indented))
    return (
        [folder / name / each for each in _SEVERAL[name]] if name in _SEVERAL else [folder / name]
    )


def _checked(*files: Path) -> tuple[int, list[str]]:
    result = run(FakeServer(), "check-config", *files)
    return result.exit_code, result.output.splitlines()


@pytest.mark.parametrize("name", [*_ONE, *_SEVERAL])
def test_distributions(tmp_path: Path, name: str) -> None:
    """The files of each are read as Synapse reads them, and a mistake is told with its place."""
    good = f"  - module: {MODULE}\n    config: {{profile: gentle}}"
    files = _written(tmp_path, name, good)
    status, told = _checked(*files)
    assert (0, f"{', '.join(map(str, files))}: ok, 0 rules") == (status, told[-1])
    status, told = _checked(*_written(tmp_path, name, good.replace("gentle", "gentel")))
    assert 1 == status
    assert [True] == ["profile: found 'gentel'; accepted is one of" in line for line in told]


@pytest.mark.parametrize("name", [*_ONE, *_SEVERAL])
def test_distributions_without_the_module(tmp_path: Path, name: str) -> None:
    """A homeserver.yaml is known by its own keys: none of them is taken for one of the module's."""
    files = _written(tmp_path, name, "")
    status, told = _checked(files[0])
    assert 1 == status
    assert ["unknown key" in line for line in told] == [False]
    explained = run(FakeServer(), "explain", "event_search", "--config", files[0])
    assert (1, False) == (explained.exit_code, "unknown key" in explained.output)


def test_debian_alone(tmp_path: Path) -> None:
    """Where homeserver.yaml lists no modules, the folder beside it is named, and may be given."""
    main, folder = _written(tmp_path, "debian", f"  - module: {MODULE}\n    config: {{}}")
    _, (told,) = _checked(main)
    assert f"no `modules:`, so that {MODULE} is not listed; name {folder} too" in told
    explained = run(FakeServer(), "explain", "event_search", "--config", main, "--config", folder)
    assert (0, True) == (explained.exit_code, "duty cycle adaptive" in explained.output)


def _config(folder: Path, text: str) -> Path:
    path = folder / "homeserver.yaml"
    path.write_text(text)
    return path


_HEAD = f"server_name: example.org\nmodules:\n  - module: {MODULE}\n"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            [":10:7: rules stands in lines 6 and 10; YAML keeps only the last: remove one"],
            "    config:\n      profile: gentle\n      rules:\n"
            "        - {one_shot: true, windows: [{days: [sat, sun]}]}\n"
            "      max_items_per_second: 500\n      # a year later\n      rules:\n"
            "        - {update: event_search, sleep: 2s}\n",
        ),
        (
            [":6:5: config stands in lines 4 and 6; YAML keeps only the last: remove one"],
            "    config:\n      approval: required\n    config:\n      profile: gentle\n",
        ),
        (
            [":7:11: update stands in lines 6 and 7; YAML keeps only the last: remove one"],
            "    config:\n      rules:\n        - update: event_search\n"
            "          update: populate_stats_process_rooms\n          sleep: 2s\n",
        ),
        (
            [":5:34: disk_free stands twice in line 5; YAML keeps only the last"],
            "    config:\n      signals: {disk_free: 1GiB, disk_free: 5GiB}\n",
        ),
        (
            [
                ":5:7: sleap: unknown key; did you mean sleep?",
                ":7:11: update stands in lines 6 and 7; YAML keeps only the last",
                ":8:7: profile: found 'x'; accepted is one of",
            ],
            "    config:\n      sleap: 1s\n      rules: [{update: event_search,\n"
            "          update: event_*, sleep: 1s}]\n      profile: x\n",
        ),
    ],
    ids=["rules", "config", "in a rule", "in one line", "beside others, in order"],
)
def test_keys_that_are_there_twice(tmp_path: Path, expected: list[str], text: str) -> None:
    """Each is told with both lines, wherever it stands in the module's part, in order of lines."""
    path = _config(tmp_path, _HEAD + text)
    status, told = _checked(path)
    assert (1, len(expected)) == (status, len(told))
    for words, line in zip(expected, told, strict=True):
        at, _, what = words.partition(": ")
        assert line.startswith(f"{path}{at}: ")
        assert what in line


def test_keys_that_are_there_twice_elsewhere(tmp_path: Path) -> None:
    """Of Synapse's own keys only those are looked at that this command reads."""
    path = _config(tmp_path, _HEAD + "turn_uris: []\nturn_uris: []\n")
    assert 0 == _checked(path)[0]
    path = _config(tmp_path, _HEAD + "database: {name: sqlite3}\ndatabase: {name: psycopg2}\n")
    assert (1, [f"{path}:5:1: `database:` stands in lines 4 and 5; only the last counts"]) == (
        _checked(path)
    )


def test_merged_keys_are_not_there_twice(tmp_path: Path) -> None:
    """What `<<` brings in and a key of its own replaces is YAML's way of saying so."""
    text = "    config:\n      rules:\n        - &a {update: event_search, sleep: 1s}\n"
    path = _config(tmp_path, _HEAD + text + "        - {<<: *a, update: chain_cover}\n")
    assert 0 == _checked(path)[0]
    path = _config(tmp_path, _HEAD + text + "        - {<<: *a, update: chain_cover, sleep: x}\n")
    assert [f"{path}:7:41: modules.<item 0>.config.rules.<item 1>.sleep: found 'x'"] == [
        line.split("; ")[0] for line in _checked(path)[1]
    ]


def test_the_module_twice(tmp_path: Path) -> None:
    """Both entries are checked, and that there are two is a problem."""
    text = (
        f"    config: {{profile: gentle}}\n  - module: mjolnir.Module\n  - module: {MODULE}\n"
        "    config:\n      rules: [{one_shot: true, windws: always}]\n"
    )
    path = _config(tmp_path, _HEAD + text)
    status, told = _checked(path)
    assert 1 == status
    assert [
        f"{path}:6:5: {MODULE} is listed in lines 3 and 6, and only the first has an effect:"
        " remove one",
        f"{path}:8:32: modules.<item 2>.config.rules.<item 0>.windws: unknown key",
    ] == [told[0], told[1].split(";")[0]]


@pytest.mark.parametrize("first", ["modules: []", "modules:"])
def test_an_empty_list_in_another_file(tmp_path: Path, first: str) -> None:
    """A later file may replace an empty list of modules; nothing is lost by it."""
    main = _config(tmp_path, f"server_name: example.org\n{first}\n")
    extra = tmp_path / "extra.yaml"
    extra.write_text(f"modules:\n  - module: {MODULE}\n    config: {{}}\n")
    assert 0 == _checked(main, extra)[0]
    status, (told,) = _checked(extra, main)
    assert (1, f"`modules:` stands in {extra} and in {main}, and Synapse reads only the last") == (
        status,
        told,
    )
    status, (told,) = _checked(main)
    assert (1, f"{main}: `modules:` does not list {MODULE}") == (status, told)


@pytest.mark.parametrize(
    ("expected", "modules"),
    [
        ("; item 0 of it: no `module:`", "[{config: {}}]"),
        (", but a.B; item 1, item 2 of it: no `module:`", "[{module: a.B}, {mod: x}, 5]"),
        (f" as `- module: {MODULE}`, but without `module:`", f"[{MODULE}]"),
    ],
)
def test_entries_that_are_none(tmp_path: Path, expected: str, modules: str) -> None:
    """What is listed in another way is told in words that fit."""
    path = _config(tmp_path, f"server_name: x\nmodules: {modules}\n")
    assert (1, [f"{path}: `modules:` does not list {MODULE}{expected}"]) == _checked(path)


def test_doubts(tmp_path: Path) -> None:
    """What is accepted and hardly meant is a warning with its line: names, numbers, databases."""
    text = (
        "    config:\n      rules:\n        - {update: event_serach, sleep: 1}\n"
        "        - {update: 'event_*', database: stat, sleep: 1s}\n"
        "      signals: {replica_lag: 10}\n"
        "databases: {master: {name: psycopg2}, state: {name: psycopg2}}\n"
    )
    path = _config(tmp_path, _HEAD + text)
    at = "modules.<item 0>.config."
    status, told = _checked(path)
    assert (0, f"{path}: ok, 2 rules") == (status, told[-1])
    seconds = "; write {0}s if you mean seconds, otherwise {0}ms"
    assert [
        f"6:12: {at}rules.<item 0>.update: the Synapse that is installed here knows no update"
        " called event_serach; did you mean event_search?",
        f"6:34: {at}rules.<item 0>.sleep: 1 is 1 ms{seconds.format(1)}",
        f"7:31: {at}rules.<item 1>.database: this server has no database stat, but master, state;"
        " did you mean state?",
        f"8:17: {at}signals.replica_lag: 10 is 10 ms{seconds.format(10)}",
    ] == [line.removeprefix(f"warning: {path}:") for line in told[:-1]]


def test_doubts_without_a_synapse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no Synapse is installed, names are compared with those that the package ships."""
    monkeypatch.setattr(
        "synapse_bgthrottle.cli.inputs.synapse_source.installed_update_names", frozenset
    )
    path = tmp_path / "config.yaml"
    path.write_text("rules: [{update: [event_serach, event_search_postgres_gist], sleep: 1s}]\n")
    _, (warning, _) = _checked(path)
    assert warning.endswith(
        "this command knows no update called event_serach; did you mean event_search?"
    )


def test_explain_an_unknown_update(tmp_path: Path) -> None:
    """Offline too a name that nobody knows, and such a database, is told."""
    path = _config(tmp_path, _HEAD + "database: {name: sqlite3}\n")
    output = run(
        FakeServer(), "explain", "event_serach", "--config", path, "--database", "stat"
    ).output
    assert "knows no update called event_serach; did you mean event_search?" in output
    assert "this server has no database stat, but master" in output
    output = run(FakeServer(), "explain", "event_search", "--config", path).output
    assert "knows no update" not in output
    assert "no database" not in output


def test_shipped_names_are_up_to_date() -> None:
    """The list has all updates of the installed Synapse: `make update-names` adds new ones."""
    installed = installed_update_names()
    assert 100 < len(installed)
    assert set() == installed - UPDATE_NAMES


def test_what_is_no_file(tmp_path: Path) -> None:
    """Pipes and devices are neither waited for nor read: they are told by name."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        told = f"{path}: cannot be read: it is not a regular file: save it as one first"
        assert (1, [told]) == _checked(path)
        assert 1 == run(FakeServer(), "explain", "x", "--config", path).exit_code


def test_a_huge_file(tmp_path: Path) -> None:
    """A file that nobody wrote is not read to its end."""
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert (1, [f"{path}: cannot be read: it has more than 8MiB"]) == _checked(path)


def test_nested_aliases(tmp_path: Path) -> None:
    """Aliases of aliases make values of any size, and messages of a few lines."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    for rest in ("modules: *a11", "modules: [*a11]", "modules: [{module: *a11}]"):
        path = _config(tmp_path, "\n".join(["server_name: x", *lines, rest, ""]))
        status, told = _checked(path)
        assert 1 == status
        assert len("\n".join(told)) < 1000
    path = _config(
        tmp_path,
        "\n".join(lines) + f"\n{_HEAD}    config: {{sleep: *a11, rules: *a11, *a11 : 5}}\n",
    )
    status, told = _checked(path)
    assert 1 == status
    assert len("\n".join(told)) < 10_000
