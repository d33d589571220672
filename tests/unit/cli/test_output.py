"""The command as a process: its output, and the sources of its input."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from synapse_bgthrottle.cli.inputs import files
from synapse_bgthrottle.cli.inputs.connection_settings import SettingsError, read_token
from testbed.servers.cli_process import COMMAND
from tests.unit.cli.fakes import FakeServer, run

_COMMANDS = ("--help", "--version", "check-config {}", "-o json check-config {}", "explain --help")


def _shell(line: str, config: Path) -> subprocess.CompletedProcess[str]:
    words = " ".join([*COMMAND, line.format(config)])
    return subprocess.run(
        ["bash", "-c", words], capture_output=True, text=True, timeout=170, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("sleep: 1s\n")
    return path


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize(
    ("why", "to"), [("No space left on device", "> /dev/full"), ("it is closed", ">&-")]
)
def test_output_that_cannot_be_written(config: Path, command: str, why: str, to: str) -> None:
    """A full disk, or a closed output, is an error in one line, with status 1."""
    ended = _shell(f"{command} {to}", config)
    expected = (1, "", f"Error: the output cannot be written: {why}\n")
    assert expected == (ended.returncode, ended.stdout, ended.stderr)


def test_output_that_nobody_reads(config: Path) -> None:
    """Whoever has read enough, such as `head`, is told nothing."""
    ended = _shell("check-config {} | true; exit ${{PIPESTATUS[0]}}", config)
    assert ("", "") == (ended.stdout, ended.stderr)


def test_token_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell's `<(...)` writes is read to its end; a pipe that nobody writes into is told."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)

    def write() -> None:
        with pipe.open("w") as opened:
            opened.write("syt_")
            opened.flush()
            opened.write("secret\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert "syt_secret" == read_token(pipe)
    writer.join()
    monkeypatch.setattr("synapse_bgthrottle.cli.inputs.connection_settings.PIPE_S", 0.05)
    with pytest.raises(SettingsError, match=rf"{pipe}: the pipe did not come to its end"):
        read_token(pipe)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_token_of_no_file(path: str) -> None:
    """Devices are told by name, and not read."""
    with pytest.raises(SettingsError, match=f"the token file {path}: it is not a regular file"):
        read_token(Path(path))


def test_load_of_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a week's load read from a device."""
    assert 60 == files.PIPE_S
    result = run(FakeServer(), "forecast", "--items", "100", "--rate", "5/s", "--load", "/dev/zero")
    assert 2 == result.exit_code
    assert "/dev/zero: it is not a regular file" in " ".join(result.output.replace("│", "").split())


def test_certificates_of_no_file(tmp_path: Path) -> None:
    """The file that SSL_CERT_FILE names is told."""
    ended = subprocess.run(
        [*COMMAND, "--url", "https://127.0.0.1:1", "status"],
        env={**os.environ, "SSL_CERT_FILE": f"{tmp_path}/none.pem", "BGTHROTTLE_TOKEN": "x"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    said = f"Error: SSL_CERT_FILE {tmp_path}/none.pem: No such file or directory\n"
    assert (1, said) == (ended.returncode, ended.stderr)
    assert sys.executable == COMMAND[0]
