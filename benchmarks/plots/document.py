"""Parts of a document that a command makes, in the place of those that it had."""

from __future__ import annotations

import re
from collections.abc import Sequence


def head(columns: Sequence[str]) -> str:
    """The two lines above a table's rows, as Markdown."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def with_rows(text: str, table_head: str, lines: Sequence[str]) -> str:
    """The document with these rows below that head, which stands in it once.

    Raises:
        SystemExit: it does not.
    """
    begin = f"{table_head}\n"
    rows = re.compile(f"{re.escape(begin)}(?:\\|.*\n)*")
    made, count = rows.subn(lambda _: begin + "".join(f"{line}\n" for line in lines), text)
    if count != 1:
        title = table_head.split(" | ", maxsplit=1)[0].removeprefix("| ")
        raise SystemExit(f"the document has {count} tables of {title}, and must have one")
    return made


def with_section(text: str, heading: str, body: str) -> str:
    """The document with this below that heading, which stands in it once, up to the next.

    Raises:
        SystemExit: it does not.
    """
    section = re.compile(f"(?<=^{re.escape(heading)}\n\n)(?:(?!#).*\n)*", re.M)
    made, count = section.subn(lambda _: f"{body}\n\n", text)
    if count != 1:
        raise SystemExit(f"the document has {count} sections of {heading}, and must have one")
    return made
