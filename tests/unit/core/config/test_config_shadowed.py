"""Rules that can never match, because earlier ones match everything that they could."""

import pytest

from synapse_bgthrottle.core.config.parser import parse
from tests.unit.core.config.accepted_values import problems_of


def _rule(**match: object) -> dict[str, object]:
    return {**match, "sleep": 0}


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        ("rule 1 (a)", [_rule(update="a"), _rule(update="a")]),
        ("rule 1 (event_search)", [_rule(update="event_*"), _rule(update="event_search")]),
        ("rule 1 (event_search)", [_rule(update="event_?earch"), _rule(update="event_search")]),
        ("rule 1 (event_search)", [_rule(update="event_[rst]*"), _rule(update="event_search")]),
        ("rule 1 (event_s*)", [_rule(update="event_*"), _rule(update="event_s*")]),
        ("rule 1 (event_*)", [_rule(update="event_*"), _rule(update="event_*")]),
        ("rule 1 (event_?)", [_rule(update="event_*"), _rule(update="event_?")]),
        ("rule 1 (event_[ab])", [_rule(update="event_*"), _rule(update="event_[ab]")]),
        ("rule 1 (*_index)", [_rule(update="*"), _rule(update="*_index")]),
        ("rule 1 (a)", [_rule(), _rule(update="a")]),
        ("rule 1 (everything)", [_rule(), _rule()]),
        ("rule 1 (everything)", [_rule(update="*"), _rule()]),
        ("rule 1 (a, b)", [_rule(update=["b", "a"]), _rule(update=["a", "b"])]),
        ("rule 2 (a, b)", [_rule(update="a"), _rule(update="b"), _rule(update=["a", "b"])]),
        (
            "rule 2 (a)",
            [_rule(update="a", one_shot=True), _rule(one_shot=False), _rule(update="a")],
        ),
        (
            "rule 2 (everything)",
            [_rule(one_shot=True), _rule(one_shot=False), _rule()],
        ),
        (
            "rule 1 (a; one-shots)",
            [_rule(update="a", one_shot=True), _rule(update="a", one_shot=True)],
        ),
        ("rule 1 (one-shots)", [_rule(), _rule(one_shot=True)]),
        ("rule 1 (no one-shots)", [_rule(), _rule(one_shot=False)]),
        ("rule 1 (database state)", [_rule(), _rule(database="state")]),
        (
            "rule 1 (a; database state)",
            [_rule(database="state"), _rule(update="a", database="state")],
        ),
        (
            "rule 1 (a; database state; no one-shots)",
            [_rule(update="a*"), _rule(update="a", database="state", one_shot=False)],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rule_that_earlier_rules_take_all_of_is_refused(
    expected: str, rules: list[dict[str, object]]
) -> None:
    """A rule behind others that match all that it could is told, with what to do."""
    number = len(rules) - 1
    assert [
        f"rules.<item {number}>: {expected} can never match, because earlier rules match all that"
        " it could; accepted is to move it up, or to leave it out"
    ] == problems_of({"rules": rules})


@pytest.mark.parametrize(
    "rules",
    [
        [_rule(update="a"), _rule(update="b")],
        [_rule(update="a"), _rule(update="a*")],
        [_rule(update="a"), _rule(update=["a", "b"])],
        [_rule(update="a"), _rule()],
        [_rule(update="event_s*"), _rule(update="event_*")],
        [_rule(update="*_a"), _rule(update="b_*")],
        [_rule(update="event_?"), _rule(update="event_*")],
        [_rule(update="?*"), _rule(update="*")],
        [_rule(update="[ab]"), _rule(update="?")],
        [_rule(update="event_[ab]"), _rule(update="event_[abc]")],
        [_rule(update="A"), _rule(update="a")],
        [_rule(database="state"), _rule(update="a")],
        [_rule(database="state"), _rule(update="a", database="master")],
        [_rule(update="a", database="master"), _rule(update="a")],
        [_rule(one_shot=True), _rule(update="a")],
        [_rule(one_shot=True), _rule(update="a", one_shot=False)],
        [_rule(update="a", one_shot=True), _rule(update="b", one_shot=False), _rule(update="a")],
        [
            _rule(database="state", one_shot=True),
            _rule(database="master", one_shot=False),
            _rule(update="a"),
        ],
        [_rule(update="*a]"), _rule(update="[]a]")],  # the later one means one character, ] or a
    ],
    ids=str,
)
def test_rule_that_could_match_is_accepted(rules: list[dict[str, object]]) -> None:
    """A rule that might still match something is not told."""
    assert len(parse({"rules": rules}).rules) == len(rules)


def test_rule_with_a_problem_is_not_told_as_shadowed_too() -> None:
    """What a rule with problems could match is unknown: only its problems are told."""
    (problem,) = problems_of({"rules": [{"sleep": 0}, {"update": 5}]})
    assert problem.startswith("rules.<item 1>.update: ")


def test_rule_behind_a_wrong_one_is_not_told_as_shadowed() -> None:
    """What a rule with wrong match keys would take is unknown: it takes nothing from others."""
    for wrong in ({"update": 5}, {"update": "a", "database": 5}, {"update": "a", "one_shot": 5}):
        problems = problems_of({"rules": [wrong, {"update": "a", "database": "state"}]})
        assert not [problem for problem in problems if "can never match" in problem]
