"""The settings of the command: server and token."""

import os
from pathlib import Path

import httpx
import pytest

from synapse_bgthrottle.cli.inputs.connection_settings import Settings, SettingsError, gather
from tests.unit.cli.fakes import IDLE, FakeServer, run, status


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_nothing_told(tmp_path: Path) -> None:
    """Without any of the sources nothing is known."""
    assert Settings() == gather({"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_settings_file(tmp_path: Path) -> None:
    """It is found below XDG_CONFIG_HOME, and a token file is looked for beside it."""
    text = "url: https://x\ntoken_file: token\nprefix: /own\ntimeout: 5s\n"
    written(tmp_path / "bgthrottle" / "config.yaml", text, 0o644)
    written(tmp_path / "bgthrottle" / "token", "syt_file\n")
    assert Settings("https://x", "syt_file", "/own", 5.0) == gather(
        {"XDG_CONFIG_HOME": str(tmp_path)}
    )


def test_the_order(tmp_path: Path) -> None:
    """The command line comes before the environment, and that before the file."""
    file = written(tmp_path / "c.yaml", "{url: 'https://file', token: file, timeout: 9s}")
    token = written(tmp_path / "t", "arguments")
    environment = {"BGTHROTTLE_URL": "https://env", "BGTHROTTLE_TOKEN_FILE": str(token)}
    assert Settings("https://file", "file", None, 9.0) == gather({}, file=file)
    assert Settings("https://env", "arguments", None, 9.0) == gather(environment, file=file)
    environment["BGTHROTTLE_TOKEN"] = "env"
    assert "env" == gather(environment, file=file).token
    assert Settings("https://arg", "arguments", None, 1.0) == gather(
        environment, "https://arg", token, file, 1.0
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o777])
def test_a_token_that_others_may_read(tmp_path: Path, mode: int) -> None:
    """It is refused wherever it stands, with what to do, and never shown."""
    settings = written(tmp_path / "c.yaml", "token: syt_secret", mode)
    token = written(tmp_path / "t", "syt_secret", mode)
    for file, token_file in ((settings, None), (None, token)):
        with pytest.raises(SettingsError, match="chmod 600") as caught:
            gather({}, token_file=token_file, file=file)
        assert "syt_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("is not YAML", "a: [syt_secret"),
        ("is not YAML", "\x00"),
        ("is not a mapping of keys; accepted are lines like `url: ", "- syt_secret"),
        ("is not a mapping of keys", "url https://matrix.example.org"),
        ("c.yaml:2: is not YAML", "url https://matrix.example.org\ntoken_file: syt_secret"),
        ("unknown key tokenfile; did you mean token_file\\?", "tokenfile: syt_secret"),
        ("unknown key 5", "5: x"),
        ("url has to be a text", "url: 5"),
        ("timeout has to be like 30s", "timeout: '30'"),
    ],
)
def test_a_bad_settings_file(tmp_path: Path, said: str, text: str) -> None:
    """What is wrong is told, but not what stands there: it may be a token."""
    file = written(tmp_path / "c.yaml", text)
    with pytest.raises(SettingsError, match=said) as caught:
        gather({}, file=file)
    assert "syt_secret" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A file that was named has to be there, and has to be text."""
    with pytest.raises(SettingsError, match=r"the settings file .*none: No such file"):
        gather({}, file=tmp_path / "none")
    with pytest.raises(SettingsError, match=r"the token file .*none: No such file"):
        gather({}, token_file=tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not text"):
        gather({}, token_file=tmp_path / "binary")
    with pytest.raises(SettingsError, match=r"the token file .*empty is empty"):
        gather({}, token_file=written(tmp_path / "empty", "\n"))


def test_a_token_from_a_pipe() -> None:
    """`--token-file <(pass show matrix)` works: a pipe of one's own is nobody else's."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"syt_pipe\n")
    os.close(write_end)
    assert "syt_pipe" == gather({}, token_file=Path(f"/dev/fd/{read_end}")).token
    os.close(read_end)


def test_the_token_is_not_represented() -> None:
    """No message can show it by accident."""
    assert "syt_secret" not in repr(Settings(token="syt_secret"))


@pytest.mark.parametrize(
    ("expected", "env"),
    [
        (2, {"BGTHROTTLE_URL": ""}),
        (2, {"BGTHROTTLE_TOKEN": ""}),
        (2, {"BGTHROTTLE_TOKEN": "two words"}),
        (2, {"BGTHROTTLE_URL": "https://u:syt_secret@example.org"}),
        (1, {"BGTHROTTLE_TOKEN": "", "BGTHROTTLE_TOKEN_FILE": "/nonexistent"}),
        (0, {}),
    ],
)
def test_what_the_command_makes_of_it(expected: int, env: dict[str, str]) -> None:
    """No server or token is wrong usage; a file that cannot be used is an error."""
    result = run(FakeServer({"GET status": status(IDLE)}), "status", env=env)
    assert expected == result.exit_code
    assert "syt_secret" not in result.output


def test_where_the_token_came_from(tmp_path: Path) -> None:
    """One that the server does not accept is told with the place in which it stood."""
    no = {"GET status": (401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token"})}
    token = written(tmp_path / "t", "syt_secret")
    settings = written(tmp_path / "c.yaml", "token_file: t")
    for place, arguments, env in (
        (f"--token-file {token}", ("--token-file", token), {}),
        ("BGTHROTTLE_TOKEN", (), {"BGTHROTTLE_TOKEN": "syt_secret"}),
        (
            f"{token} (BGTHROTTLE_TOKEN_FILE)",
            (),
            {"BGTHROTTLE_TOKEN": "", "BGTHROTTLE_TOKEN_FILE": str(token)},
        ),
        (
            f"{token} (token_file: in {settings})",
            ("--settings", settings),
            {"BGTHROTTLE_TOKEN": ""},
        ),
    ):
        result = run(FakeServer(no), "status", *arguments, env=env)
        assert 3 == result.exit_code
        assert f"the token came from {place}\n" in result.output


def test_what_to_do_next(tmp_path: Path) -> None:
    """Without a server it is said how to name one, and of one that is not there what to look at."""
    env = {"BGTHROTTLE_URL": "", "XDG_CONFIG_HOME": str(tmp_path)}
    output = run(FakeServer(), "status", env=env).output
    assert "such as --url https://matrix.example.org" in output
    assert f"`url:` in {tmp_path}/bgthrottle/config.yaml" in output
    gone = FakeServer({"GET status": httpx.ConnectError("[Errno 111] Connection refused")})
    output = run(gone, "status").output
    assert "is Synapse running there, and is --url right?" in output


def test_no_token_in_arguments() -> None:
    """There is no option for a token itself."""
    assert 2 == run(FakeServer(), "status", "--token", "syt_secret").exit_code
