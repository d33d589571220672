"""Rules: what they match, which is the first, and which never matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import EarlierRules, Rule, first_match


@pytest.mark.parametrize(
    ("expected", "patterns", "name"),
    [
        (True, (), "anything"),
        (True, ("event_search",), "event_search"),
        (False, ("event_search",), "event_search_order"),
        (False, ("event_search",), "an_event_search"),
        (False, ("event_search",), "Event_Search"),
        (True, ("event_*",), "event_search"),
        (True, ("event_*",), "event_"),
        (False, ("event_*",), "events"),
        (True, ("*_index",), "a_index"),
        (True, ("*",), ""),
        (True, ("event_?",), "event_1"),
        (False, ("event_?",), "event_12"),
        (True, ("event_[ab]",), "event_a"),
        (False, ("event_[ab]",), "event_c"),
        (True, ("event_[!ab]",), "event_c"),
        (False, ("a.b",), "axb"),
        (True, ("a", "b_*"), "b_c"),
        (True, ("a", "b_*"), "a"),
        (False, ("a", "b_*"), "ab_c"),
        (False, ("a", "b"), "a\nb"),
        (True, ("a*b",), "a\nb"),
        (True, ("a[",), "a["),
    ],
)
def test_rule_matches_names_and_globs(expected: bool, patterns: tuple[str, ...], name: str) -> None:
    """A pattern matches the whole name, case by case, and any of them is enough."""
    assert expected is Rule(0, patterns).matches(name, "master", False)


@pytest.mark.parametrize("database", ["master", "state"])
@pytest.mark.parametrize("one_shot", [True, False])
def test_rule_matches_by_database_and_one_shot(database: str, one_shot: bool) -> None:
    """Each condition that a rule has must hold, and those that it has not do not matter."""
    assert Rule(0).matches("a", database, one_shot)
    assert (database == "state") is Rule(0, database="state").matches("a", database, one_shot)
    assert one_shot is Rule(0, one_shot=True).matches("a", database, one_shot)
    assert one_shot is not Rule(0, one_shot=False).matches("a", database, one_shot)
    both = Rule(0, ("a",), "state", True)
    assert (database == "state" and one_shot) is both.matches("a", database, one_shot)
    assert not both.matches("b", database, one_shot)


def test_first_matching_rule_wins() -> None:
    """Order decides, and not which rule says more."""
    broad, exact, state = Rule(0, ("event_*",)), Rule(1, ("event_search",)), Rule(2)
    rules = (broad, exact, state)
    assert broad is first_match(rules, "event_search", "master", False)
    assert exact is first_match(rules[1:], "event_search", "master", False)
    assert state is first_match(rules, "other", "master", False)
    assert first_match(rules[:2], "other", "master", False) is None
    assert first_match((), "other", "master", False) is None


@pytest.mark.parametrize(
    ("expected", "rule"),
    [
        ("rule 0 (everything)", Rule(0)),
        ("rule 3 (event_*)", Rule(3, ("event_*",))),
        ("rule 3 (a, b)", Rule(3, ("a", "b"))),
        ("rule 1 (database state)", Rule(1, database="state")),
        ("rule 1 (one-shots)", Rule(1, one_shot=True)),
        ("rule 1 (no one-shots)", Rule(1, one_shot=False)),
        ("rule 1 (a; database state; one-shots)", Rule(1, ("a",), "state", True)),
    ],
)
def test_rule_is_printed_with_what_it_matches(expected: str, rule: Rule) -> None:
    """A rule is told by its number and its conditions."""
    assert expected == str(rule)


_PATTERNS = st.lists(st.sampled_from(("a", "b", "*", "?", "[ab]", "[!a]")), max_size=4).map("".join)
_RULES = st.builds(
    Rule,
    st.just(0),
    patterns=st.lists(_PATTERNS.filter(bool), max_size=2).map(tuple),
    database=st.sampled_from((None, "master", "state")),
    one_shot=st.sampled_from((None, True, False)),
)


def _is_shadowed(rule: Rule, earlier: list[Rule]) -> bool:
    before = EarlierRules()
    for each in earlier:
        before.add(each)
    return before.shadow(rule)


@given(st.lists(_RULES, min_size=1, max_size=3), _RULES, st.lists(st.text("abc", max_size=4)))
def test_shadowed_rule_is_never_the_first_match_for_any_rules(
    earlier: list[Rule], rule: Rule, names: list[str]
) -> None:
    """What is told as shadowed matches nothing that no earlier rule matches."""
    if not _is_shadowed(rule, earlier):
        return
    for name in ("", "a", "b", "ab", "ba", "aab", "cc", *names):
        for database in ("master", "state", "other"):
            for one_shot in (True, False):
                assert rule is not first_match((*earlier, rule), name, database, one_shot)


@given(_RULES)
def test_rule_shadows_its_like_for_any_rule_without_odd_wildcards(rule: Rule) -> None:
    """The same rule twice is told, as long as its wildcards are `*` only."""
    if not set("".join(rule.patterns)) & set("?["):
        assert _is_shadowed(rule, [rule])
