"""The revision of the tested tree."""

import subprocess
from pathlib import Path


def revision(root: Path, made: Path) -> str:
    """The short commit, with `+` if files differ from it; `unknown` if git cannot say.

    The file `made` does not count, because the runs themselves change it.
    """
    but = f":(exclude){made.relative_to(root)}"
    try:
        commit = _git(root, "rev-parse", "--short", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", ".", but)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changes else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
