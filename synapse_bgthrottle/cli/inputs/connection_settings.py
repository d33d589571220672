"""Where the server is and who one is there: command line, then environment, then settings file.

A token never stands on a command line, where every user of the machine can read it.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from synapse_bgthrottle.cli.inputs.files import PIPE_S, UnusableFileError, read_file, user_file
from synapse_bgthrottle.core.config.problems import did_you_mean, text
from synapse_bgthrottle.core.units import parse_duration_ms

KEYS = ("url", "token", "token_file", "prefix", "timeout")
_LARGEST_FILE = 64 * 1024
_LINES = f"accepted are lines like `url: https://matrix.example.org`; keys are {', '.join(KEYS)}"


class SettingsError(Exception):
    """A file of settings, or of a token, cannot be used."""


@attrs.frozen
class Settings:
    """What is known of the server; None: not known."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    prefix: str | None = None  # the path of the module's API
    timeout_s: float | None = None
    token_from: str = attrs.field(default="", eq=False)  # where the token was found, for people


def default_file(environment: Mapping[str, str]) -> Path:
    """`~/.config/bgthrottle/config.yaml`, or below XDG_CONFIG_HOME."""
    return user_file(environment, "XDG_CONFIG_HOME", "~/.config", "config.yaml")


def gather(
    environment: Mapping[str, str],
    url: str | None = None,
    token_file: Path | None = None,
    file: Path | None = None,
    timeout_s: float | None = None,
) -> Settings:
    """All that is known: the command line's arguments come first, then the environment.

    `file` is the one of settings; None: the default, if it exists. Raises SettingsError if a file
    cannot be read, is not understood, or shows a token to others.
    """
    wanted = file or default_file(environment)
    known = _settings_file(wanted) if file is not None or os.path.exists(wanted) else {}
    token: str | None = None
    path: Path | None = None
    token_from = ""
    if token_file is not None:
        path, token_from = token_file, f"--token-file {token_file}"
    elif token := environment.get("BGTHROTTLE_TOKEN"):
        token_from = "BGTHROTTLE_TOKEN"
    elif name := environment.get("BGTHROTTLE_TOKEN_FILE"):
        path, token_from = Path(name), f"{name} (BGTHROTTLE_TOKEN_FILE)"
    elif token := known.get("token"):
        token_from = f"token: in {wanted}"
    elif "token_file" in known:
        path = wanted.parent / os.path.expanduser(known["token_file"])
        token_from = f"{path} (token_file: in {wanted})"
    return Settings(
        url=url or environment.get("BGTHROTTLE_URL") or known.get("url"),
        token=token if path is None else read_token(path),
        prefix=known.get("prefix"),
        timeout_s=timeout_s if timeout_s is not None else known.get("timeout"),
        token_from=token_from,
    )


def read_token(file: Path) -> str:
    """The token in a file; SettingsError: it is unusable, or others may read it."""
    text, mode = _read(file, "token file")
    _refuse_if_shown(file, mode)
    if not text.strip():
        raise SettingsError(f"the token file {file} is empty")
    return text.strip()


def parse_span_ms(text: str) -> int:
    """A span in ms, from `30s`; ValueError: it is none, or has no unit: seconds, or ms?"""
    if text.strip().isdigit():
        raise ValueError("no unit")
    return parse_duration_ms(text)


def _read(file: Path, what: str) -> tuple[str, int]:
    try:
        content, mode = read_file(file, _LARGEST_FILE, PIPE_S)
        return content.decode("utf-8"), mode
    except UnicodeDecodeError:
        raise SettingsError(f"the {what} {file} is not text") from None
    except UnusableFileError as error:
        raise SettingsError(f"the {what} {file}: {error}") from None


def _refuse_if_shown(file: Path, mode: int) -> None:
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{file}: others may read the token in it; do: chmod 600 {file}")


def _refuse_unknown(file: Path, known: dict[Any, Any]) -> None:
    for key, value in known.items():
        if key not in KEYS:
            name = text(key)
            raise SettingsError(f"{file}: unknown key {name:.80}{did_you_mean(name, KEYS)}")
        if not isinstance(value, str):
            raise SettingsError(f"{file}: {key} has to be a text")


def _settings_file(file: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415

    written, mode = _read(file, "settings file")
    try:
        content = yaml.safe_load(written)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error itself would quote the file, which may have a token.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f":{mark.line + 1}"
        raise SettingsError(f"{file}{where}: is not YAML; {_LINES}") from None
    known = {} if content is None else content
    if not isinstance(known, dict):
        raise SettingsError(f"{file}: is not a mapping of keys; {_LINES}")
    if "token" in known:
        _refuse_if_shown(file, mode)
    _refuse_unknown(file, known)
    if "timeout" in known:
        try:
            known["timeout"] = parse_span_ms(known["timeout"]) / 1000
        except ValueError:
            raise SettingsError(f"{file}: timeout has to be like 30s") from None
    return known
