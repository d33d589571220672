"""Which installed PostgreSQL the tests choose."""

from pathlib import Path

import pytest

from testbed.servers.postgres import newest

_13, _9_6, _16 = "postgres (PostgreSQL) 13.14", "postgres (PostgreSQL) 9.6.24", "(PostgreSQL) 16.2"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({}, None),
        ({"thirteen": _13}, None),
        ({"nine": _9_6, "thirteen": _13, "sixteen": _16}, "sixteen"),
        ({"sixteen": _16, "fourteen": "postgres (PostgreSQL) 14.1 (Debian 14.1-1)"}, "sixteen"),
        ({"beta": "postgres (PostgreSQL) 18beta1", "sixteen": _16}, "beta"),
        ({"broken": ""}, None),
    ],
)
def test_newest(versions: dict[str, str], expected: str | None) -> None:
    """By number, and none that Synapse refuses: then it is that of the wheel."""
    found = newest({Path(name): text for name, text in versions.items()})
    assert found == (None if expected is None else Path(expected))
