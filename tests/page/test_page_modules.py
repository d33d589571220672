"""The page's pure modules, tested with `node --test` if Node.js is installed."""

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from testbed.waiting import HANG_S

TESTS = Path(__file__).parent.parent / "page"


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.mjs")), ids=lambda path: str(path.name))
def test_modules(path: Path, tmp_path: Path) -> None:
    """Every test of the file passes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("SKIPPED: node is not on the PATH, so the page's JavaScript is not tried")
    page = tmp_path / "page"
    page.mkdir()
    # Node takes `.js` for modules only where a package.json says so; the page needs none.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for module in resources.files("synapse_bgthrottle.api").joinpath("page").iterdir():
        if module.name.endswith(".js"):
            (page / module.name).write_bytes(module.read_bytes())
    shutil.copy(path, tmp_path)
    done = subprocess.run(
        [node, "--test", path.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
