"""Tries a wheel: `make dist` installs it beside Synapse, starts a server, and asks it.

    python -m testbed.servers.wheel WHEEL [PYTHON]

Without PYTHON the wheel gets a virtual environment that has everything else from ours. PYTHON is of
an environment that has Synapse, such as one that is made for this alone.
"""

import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
import venv
import zipfile
from pathlib import Path

from synapse_bgthrottle.api.routes import PAGE
from testbed.servers.cli_process import Command
from testbed.servers.matrix import MatrixClient
from testbed.servers.process import ROOT
from testbed.servers.server import SynapseServer

PACKAGE = "synapse_bgthrottle"


def check_files(wheel: Path) -> None:
    """It has each file of the package, and no other.

    Raises:
        AssertionError: it has not.
    """
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    ours = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert ours == names, f"in one of the two only: {sorted(ours ^ names)}"


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of an environment in this folder that has the wheel, and the rest from ours."""
    venv.create(folder, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    own = Path(sysconfig.get_path("purelib", vars=paths))
    # By this line our packages are found, but not the links of those that are editable.
    (own / "ours.pth").write_text(sysconfig.get_path("purelib"))
    install(wheel, folder / "bin" / "python")
    return folder / "bin" / "python"


def install(wheel: Path, python: Path) -> None:
    """Install it there, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-deps", "--force-reinstall"]
    subprocess.run([*pip, *options, str(wheel)], check=True)


def check_server(python: Path, folder: Path) -> None:
    """A server with it serves the API and the page; the command, where it is there, asks it.

    Raises:
        AssertionError: it does not.
    """
    folder.mkdir()
    # Without PYTHONPATH, by which the source beside us would be used.
    alone = folder / "python"
    alone.write_text(f'#!/bin/sh\nexec "{python}" -E "$@"\n')
    alone.chmod(0o755)
    find = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    place = subprocess.check_output([alone, "-c", find], cwd=folder, text=True)
    assert Path(place).is_relative_to(python.parents[1]), f"what is installed is not used: {place}"
    with SynapseServer(folder / "server", {}, python=alone) as server:
        administrator = MatrixClient.register(server.url, "admin", admin=True)
        assert administrator.call("GET", "/_synapse/bgthrottle/v1/status")["enabled"]
        for name, route in PAGE.items():
            url = f"{server.url}/_synapse/bgthrottle/{name.decode()}"
            ours = ROOT / PACKAGE / "api" / "page" / str(route.file)
            with urllib.request.urlopen(url) as file:
                assert ours.read_bytes() == file.read(), name
        print(f"{python}: the server is up, and has the API and {len(PAGE)} files of the page")
        caller = Command.of(server.url, administrator.token, folder / "token")
        _check_command(python.parent / "bgthrottle", caller)


def _check_command(command: Path, caller: Command) -> None:
    environment = caller.environment()
    del environment["PYTHONPATH"]
    told = subprocess.run(
        [command, "status"], check=False, env=environment, capture_output=True, text=True
    )
    first = next(iter((told.stdout or told.stderr).splitlines()), "")
    print(f"bgthrottle status: exit status {told.returncode}: {first}")
    assert told.returncode == 0 or "pip install" in first


def main() -> None:
    """Try the wheel that is named."""
    wheel, *others = map(Path, sys.argv[1:])
    check_files(wheel)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if others:
            (python,) = others
            install(wheel, python)
        else:
            python = installed(wheel, folder / "environment")
        check_server(python.absolute(), folder / "try")


if __name__ == "__main__":
    main()
