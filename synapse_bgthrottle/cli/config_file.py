"""Finds the module's configuration in YAML files, and the place of each part of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import yaml

from synapse_bgthrottle.problems import did_you_mean

MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"
_ENTRY_KEYS = ("module", "config")


class NotAConfigError(Exception):
    """The file is no YAML, or does not list the module; the message begins with its name."""


@attrs.frozen
class ConfigFile:
    """The module's configuration in a file.

    Attributes:
        file: which.
        raw: as YAML has it.
        path: of the configuration within the file, in Synapse's spelling.
        server: the sections of the server's own configuration, of all files; empty: none is there.
        misplaced: keys that stand beside `module:`, where Synapse reads none.
        ignored: files that are no mapping, such as empty ones, which Synapse passes over.
    """

    file: Path
    raw: Any
    path: tuple[str, ...]
    _root: Any
    server: Mapping[str, Any] = attrs.field(factory=dict)
    misplaced: tuple[str, ...] = ()
    ignored: tuple[Path, ...] = ()

    @property
    def server_section(self) -> Any:
        """Synapse's own section `background_updates:`; None: there is none."""
        return self.server.get("background_updates")

    @property
    def is_sqlite(self) -> bool:
        """Whether the server's database is said to be SQLite."""
        database = self.server.get("database")
        return isinstance(database, dict) and database.get("name") == "sqlite3"

    def position(self, path: tuple[str, ...]) -> tuple[int, int]:
        """Line and column, from 1, of a part of the configuration, or of what would hold it."""
        return self._position((*self.path, *path))

    def position_beside(self, key: str) -> tuple[int, int]:
        """The same of a key beside `config:`."""
        return self._position((*self.path[:-1], key))

    def _position(self, path: tuple[str, ...]) -> tuple[int, int]:
        node = self._root
        place = node
        for name in path:
            if isinstance(node, yaml.MappingNode):
                pairs = [pair for pair in node.value if pair[0].value == name]
                if not pairs:
                    break
                place, node = pairs[0]
            elif isinstance(node, yaml.SequenceNode) and name.startswith("<item "):
                place = node = node.value[int(name[6:-1])]
        return place.start_mark.line + 1, place.start_mark.column + 1


def read_config_files(files: Sequence[Path]) -> ConfigFile:
    """Read a homeserver.yaml, with its further files if it has some, or the configuration itself.

    As Synapse reads them, files of several that are no mapping are passed over.

    Raises:
        NotAConfigError: it is neither.
    """
    read = [(file, *_read(file)) for file in files]
    if len(read) == 1:
        file, root, content = read[0]
        if content is None:
            raise NotAConfigError(f"{file}: is empty; a configuration without settings is {{}}")
        if not (isinstance(content, dict) and {"modules", "server_name"} & set(content)):
            return ConfigFile(file, content, (), root)
    server: dict[str, Any] = {}
    listing = []
    ignored = []
    for each in read:
        if not isinstance(each[2], dict):
            ignored.append(each[0])
            continue
        server.update(each[2])
        if "modules" in each[2]:
            listing.append(each)
    if not listing:
        names = ", ".join(map(str, files))
        but = "".join(f"; Synapse ignores {file}, which is no mapping" for file in ignored)
        raise NotAConfigError(f"{names}: no `modules:`, so that {MODULE} is not listed{but}")
    if len(listing) > 1:
        where = " and in ".join(str(each[0]) for each in listing)
        raise NotAConfigError(f"`modules:` stands in {where}, and Synapse reads only the last")
    file, root, content = listing[0]
    number, entry = _entry(file, content["modules"])
    path = ("modules", f"<item {number}>", "config")
    misplaced = tuple(str(key) for key in entry if key not in _ENTRY_KEYS)
    config = entry.get("config") or {}
    return ConfigFile(file, config, path, root, server, misplaced, tuple(ignored))


def _read(file: Path) -> tuple[Any, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        root, content = yaml.compose(text), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise NotAConfigError(_of_yaml(file, error)) from error
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        told = str(error).replace('"<unicode string>", ', "")
        raise NotAConfigError(f"{file}: cannot be read: {told}") from error
    lines = [key.start_mark.line + 1 for key in _keys(root) if key.value == "modules"]
    if len(lines) > 1:
        where = " and ".join(map(str, lines))
        raise NotAConfigError(f"{file}: `modules:` stands in lines {where}; only the last counts")
    return root, content


def _of_yaml(file: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    hint = "; quote globs, as in update: '*_idx'" if "alias" in what else ""
    return f"{file}{where}: cannot be read: {what}{hint}"


def _keys(root: Any) -> Iterator[Any]:
    for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        yield key


def _entry(file: Path, modules: object) -> tuple[int, Mapping[Any, Any]]:
    """The module's entry in `modules:`, with its number."""
    if not isinstance(modules, list):
        kind = "a mapping" if isinstance(modules, dict) else repr(modules)[:40]
        message = "accepted is a list, whose entries begin with `- module:`"
        raise NotAConfigError(f"{file}: `modules:` is {kind}; {message}")
    names = []
    for number, item in enumerate(modules):
        name = item.get("module") if isinstance(item, dict) else item
        if isinstance(item, dict) and name == MODULE:
            return number, item
        names.append(str(name))
    package = MODULE.partition(".")[0]
    lists = f"{file}: `modules:` does not list {MODULE}"
    if package in names:
        raise NotAConfigError(f"{lists}: {package} lacks the class behind it")
    for name in names:
        if hint := did_you_mean(name, [MODULE]):
            raise NotAConfigError(f"{lists}, but {name[:80]!r}{hint}")
    raise NotAConfigError(f"{lists}" + (f", but {', '.join(names)[:200]}" if names else ""))
