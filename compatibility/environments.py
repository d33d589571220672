"""A virtual environment for each target, made once."""

import configparser
import hashlib
import shutil
import subprocess
from pathlib import Path

from compatibility.targets import Target

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".compat"


class NoInterpreterError(Exception):
    """This Python is not installed."""


class InstallError(Exception):
    """pip failed."""


def python_of(target: Target) -> Path:
    """The interpreter in its environment."""
    return FOLDER / target.name / "bin" / "python"


def make(target: Target) -> Path:
    """The environment's interpreter. The environment is made if it is missing or incomplete.

    Raises:
        NoInterpreterError: this Python is not installed.
        InstallError: pip failed; the message has its output.
    """
    folder = FOLDER / target.name
    wanted = [target.requirement, *target.pins, *_test_requirements(), *_own_requirements()]
    stamp = folder / "made-from"
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python_of(target)
    if not python_of(target).exists():
        interpreter = _interpreter(target.python)
        subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], check=True)
    # Everything in one call: a later one could replace Synapse.
    pip = [str(python_of(target)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError((done.stdout + done.stderr).strip()[-2000:])
    # The module comes from the tree; its dependencies are there already.
    done = subprocess.run(
        [*pip, "--no-deps", "--editable", str(ROOT)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InstallError((done.stdout + done.stderr).strip()[-2000:])
    stamp.write_text(digest)
    return python_of(target)


def synapse_version(python: Path) -> str:
    """The full version of the Synapse in an environment."""
    program = "from importlib.metadata import version; print(version('matrix-synapse'))"
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _interpreter(version: str) -> str:
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:
        if candidate and _is(candidate, version):
            return candidate
    raise NoInterpreterError(f"no Python {version} here")


def _is(candidate: str, version: str) -> bool:
    # pyenv may have a shim on PATH for a version that is not active.
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([candidate, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def _setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def _test_requirements() -> list[str]:
    lines = _setup()["options.extras_require"]["test"].split("\n")
    return [line for line in lines if line and not line.startswith("matrix-synapse")]


def _own_requirements() -> list[str]:
    return [line for line in _setup()["options"]["install_requires"].split("\n") if line]
