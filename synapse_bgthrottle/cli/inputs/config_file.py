"""Finds the module's configuration in YAML files, and the place of each part of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import yaml

from synapse_bgthrottle.cli.inputs.files import UnusableFileError, read_file
from synapse_bgthrottle.core.config.keys import TOP_KEYS
from synapse_bgthrottle.core.config.problems import LONGEST_NAME, did_you_mean, found, text

MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"
_ENTRY_KEYS = ("module", "config")
_LARGEST_BYTES = 8 * 2**20

# Top-level keys of Synapse's that some file of any distribution has, and the module's config never.
_SYNAPSE_KEYS = """
    account_threepid_delegates app_service_config_files auto_join_rooms background_updates
    caches database databases email enable_metrics enable_registration experimental_features
    federation_domain_whitelist form_secret form_secret_path instance_map listeners log_config
    macaroon_secret_key macaroon_secret_key_path matrix_authentication_service max_upload_size
    media_store_path modules oidc_providers password_config password_providers pid_file
    presence public_baseurl rc_login rc_message redis registration_shared_secret
    registration_shared_secret_path report_stats retention server_name signing_key
    signing_key_path stream_writers suppress_key_server_warning tls_certificate_path
    tls_private_key_path trusted_key_servers turn_uris url_preview_enabled user_directory
    worker_app
"""
_OF_SYNAPSE = frozenset(_SYNAPSE_KEYS.split())
# Of those the ones that this command reads.
_READ = frozenset({"modules", "background_updates", "database", "databases"})


# Line and column, from 1.
Place: TypeAlias = tuple[int, int]


class NotAConfigError(Exception):
    """The file is no YAML, or does not list the module; the message begins with its name."""


@attrs.frozen
class Entry:
    """The module's configuration in one place."""

    raw: Any  # as YAML has it
    path: tuple[str, ...] = ()  # within the file, in Synapse's spelling
    misplaced: tuple[str, ...] = ()  # keys that stand beside `module:`, where Synapse reads none


@attrs.frozen
class Doubled:
    """A key that a mapping has twice, of which YAML keeps the last, and both its places."""

    key: str
    first: Place
    again: Place


@attrs.frozen
class _Text:
    """A file, read: as nodes of YAML, which have places, and as values."""

    file: Path
    root: Any
    content: Any
    # Keys that are there twice, by `id` of their mapping's node.
    doubled: Mapping[int, Sequence[Doubled]]


@attrs.frozen
class ConfigFile:
    """The module's configuration in a file."""

    entries: tuple[Entry, ...]  # at least one; Synapse takes the first
    _text: _Text
    # The sections of the server's own configuration, of all files; empty: none is there.
    server: Mapping[str, Any] = attrs.field(factory=dict)
    # Files that are no mapping, such as empty ones, which Synapse passes over.
    ignored: tuple[Path, ...] = ()
    _places: dict[int, dict[str, tuple[Any, Any]]] = attrs.field(factory=dict, init=False)

    @property
    def server_section(self) -> Any:
        """Synapse's own section `background_updates:`; None: there is none."""
        return self.server.get("background_updates")

    @property
    def is_sqlite(self) -> bool:
        """Whether the server's database is said to be SQLite."""
        database = self.server.get("database")
        return isinstance(database, dict) and database.get("name") == "sqlite3"

    @property
    def database_names(self) -> frozenset[str]:
        """The names of the server's databases; empty: the files do not say."""
        databases = self.server.get("databases")
        if isinstance(databases, dict):
            return frozenset(map(text, databases))
        return frozenset({"master"} if self.server.get("database") else ())

    @property
    def file(self) -> Path:
        """The file in which the entries stand."""
        return self._text.file

    def position(self, path: tuple[str, ...]) -> Place:
        """The place of a part of the file, or of what would hold it."""
        return _place(self._at(path)[0])

    def _at(self, path: tuple[str, ...]) -> tuple[Any, Any]:
        """The node of the last key on the path that is there, and the node of its value."""
        node = self._text.root
        place = node
        for name in path:
            if isinstance(node, yaml.MappingNode):
                if name not in self._keys(node):
                    break
                place, node = self._keys(node)[name]
            elif isinstance(node, yaml.SequenceNode) and name.startswith("<item "):
                place = node = node.value[int(name[6:-1])]
        return place, node

    def doubled(self) -> Iterator[Doubled]:
        """Keys that are there twice in the entries."""
        for node in _nodes([self._at(entry.path[:-1])[1] for entry in self.entries]):
            yield from self._text.doubled.get(id(node), ())

    def _keys(self, node: Any) -> dict[str, tuple[Any, Any]]:
        if id(node) not in self._places:
            # Of a key that is there twice the last counts.
            self._places[id(node)] = {
                pair[0].value[:LONGEST_NAME]: pair
                for pair in node.value
                if isinstance(pair[0], yaml.ScalarNode)
            }
        return self._places[id(node)]


def read_config_files(files: Sequence[Path]) -> ConfigFile:
    """Read a homeserver.yaml, with its further files if it has some, or the configuration itself.

    As Synapse reads them, files of several that are no mapping are passed over. Raises
    NotAConfigError if it is neither.
    """
    read = [_read(file) for file in files]
    if len(read) == 1:
        (only,) = read
        if only.content is None:
            raise NotAConfigError(
                f"{only.file}: is empty; a configuration without settings is {{}}"
            )
        if not _is_of_server(only.content):
            return ConfigFile((Entry(only.content),), only)
    ignored = [each.file for each in read if not isinstance(each.content, dict)]
    of_server = [each for each in read if isinstance(each.content, dict)]
    server: dict[str, Any] = {}
    for each in of_server:
        server.update(each.content)
        _refuse_doubled_sections(each)
    last = _listing(of_server, _no_modules(files, ignored))
    return ConfigFile(_entries(last), last, server, tuple(ignored))


def _listing(of_server: Sequence[_Text], none_is_there: str) -> _Text:
    """The file whose list of modules counts."""
    listing: list[_Text] = []
    for each in of_server:
        if "modules" in each.content:
            # An empty list that another file replaces is no loss.
            listing = [one for one in listing if one.content["modules"]] + [each]
    if not listing:
        raise NotAConfigError(none_is_there)
    if len(listing) > 1:
        where = " and in ".join(str(each.file) for each in listing)
        raise NotAConfigError(f"`modules:` stands in {where}, and Synapse reads only the last")
    return listing[0]


def _is_of_server(content: object) -> bool:
    if not isinstance(content, dict):
        return False
    return bool(content.keys() & _OF_SYNAPSE) and not content.keys() & set(TOP_KEYS)


def _no_modules(files: Sequence[Path], ignored: Sequence[Path]) -> str:
    names = ", ".join(map(str, files))
    message = f"{names}: no `modules:`, so that {MODULE} is not listed"
    message += "".join(f"; Synapse ignores {file}, which is not a mapping" for file in ignored)
    if len(files) > 1:
        return message
    folder = files[0].parent / "conf.d"
    if folder.is_dir():
        return f"{message}; name {folder} too, if Synapse is started with it"
    return f"{message}; if Synapse is started with further files, such as conf.d, name them too"


def _read(file: Path) -> _Text:
    try:
        loader = yaml.SafeLoader(read_file(file, _LARGEST_BYTES)[0].decode("utf-8"))
        try:
            root = loader.get_single_node()
            # Before the values are made, for that changes mappings with `<<`.
            doubled = {
                id(node): list(_doubled_keys(node))
                for node in _nodes([root])
                if isinstance(node, yaml.MappingNode)
            }
            content = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise NotAConfigError(_of_yaml(file, error)) from error
    except (yaml.YAMLError, ValueError, UnusableFileError, RecursionError) as error:
        message = str(error).replace('"<unicode string>", ', "")
        raise NotAConfigError(f"{file}: cannot be read: {message}") from error
    return _Text(file, root, content, doubled)


def _nodes(todo: list[Any]) -> Iterator[Any]:
    """These nodes of YAML and all below them, each once."""
    seen: set[int] = set()
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen:  # an alias may lead anywhere
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            todo.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)


def _doubled_keys(node: Any) -> Iterator[Doubled]:
    first: dict[tuple[str, str], Any] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            other = first.setdefault((key.tag, key.value), key)
            if other is not key:
                yield Doubled(key.value[:LONGEST_NAME], _place(other), _place(key))


def _place(node: Any) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _refuse_doubled_sections(read: _Text) -> None:
    for each in read.doubled.get(id(read.root), ()):
        if each.key in _READ:
            line, column = each.again
            raise NotAConfigError(
                f"{read.file}:{line}:{column}: `{each.key}:` stands in lines {each.first[0]} and"
                f" {line}; only the last counts"
            )


def _of_yaml(file: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    hint = "; quote globs, as in update: '*_idx'" if "alias" in what else ""
    return f"{file}{where}: cannot be read: {what}{hint}"


def _entries(read: _Text) -> tuple[Entry, ...]:
    """The module's entries in `modules:`; at least one."""
    modules = read.content["modules"] or []
    if not isinstance(modules, list):
        kind = "a mapping" if isinstance(modules, dict) else found(modules)
        message = "accepted is a list, whose entries begin with `- module:`"
        raise NotAConfigError(f"{read.file}: `modules:` is {kind}; {message}")
    entries = tuple(
        Entry(
            item.get("config") or {},
            ("modules", f"<item {number}>", "config"),
            tuple(text(key)[:LONGEST_NAME] for key in item if key not in _ENTRY_KEYS),
        )
        for number, item in enumerate(modules)
        if isinstance(item, dict) and item.get("module") == MODULE
    )
    if not entries:
        raise NotAConfigError(f"{read.file}: {_not_listed(modules)}")
    return entries


def _not_listed(modules: Sequence[Any]) -> str:
    lists = f"`modules:` does not list {MODULE}"
    of_items = [item.get("module") if isinstance(item, dict) else item for item in modules]
    names = [name for name in of_items if isinstance(name, str)]
    package = MODULE.partition(".")[0]
    if MODULE in names:
        return f"{lists} as `- module: {MODULE}`, but without `module:`"
    if package in names:
        return f"{lists}: {package} lacks the class behind it"
    for name in names:
        if hint := did_you_mean(name, [MODULE]):
            return f"{lists}, but {name[:80]!r}{hint}"
    nameless = [f"item {n}" for n, name in enumerate(of_items) if not isinstance(name, str)]
    message = lists + (f", but {', '.join(names)[:200]}" if names else "")
    return message + (f"; {', '.join(nameless[:5])} of it: no `module:`" if nameless else "")
