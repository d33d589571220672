"""Metrics, their reference, the dashboard and the alert rules agree."""

import json
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from synapse.http.request_metrics import response_timer

from synapse_bgthrottle.homeserver.prometheus import signal_metrics, update_metrics
from tests.docs.test_docs import ROOT
from tests.docs.test_links import anchors

PREFIX = "synapse_bgthrottle_"
DASHBOARD = ROOT / "contrib" / "grafana" / "synapse-bgthrottle.json"
RULES = ROOT / "contrib" / "prometheus" / "synapse-bgthrottle.rules.yaml"
RULES_TEST = RULES.with_suffix("").with_suffix(".rules.test.yaml")
REFERENCE = (ROOT / "docs" / "metrics.md").read_text()

ALL = [
    value
    for module in (update_metrics, signal_metrics)
    for value in vars(module).values()
    if isinstance(value, MetricWrapperBase)
]

_ROW = re.compile(
    r"^\| `(\w+)` \| (counter|gauge|histogram) \| ?(.*?) \| (.+?) \| (\S.*) \|$", re.M
)
_NAME = re.compile(rf"\b{PREFIX}\w+")
_SELECTED = re.compile(rf"\b({PREFIX}\w+){{([^}}]*)}}")


def _series() -> dict[str, set[str]]:
    """The names that a query may have, with their labels."""
    names: dict[str, set[str]] = {}
    for metric in ALL:
        (family,) = metric.describe()
        labels = set(metric._labelnames)
        if isinstance(metric, Counter):
            names[f"{family.name}_total"] = labels
        elif isinstance(metric, Histogram):
            names |= {f"{family.name}_{part}": labels for part in ("sum", "count")}
            names[f"{family.name}_bucket"] = labels | {"le"}
        else:
            names[family.name] = labels
    return names


SERIES = _series()

# What clients wait for is Synapse's own to measure.
SYNAPSES_OWN = "synapse_http_server_response_time_seconds_bucket"


def _promtool() -> str:
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if found is None:
        reason = "no promtool (Debian: apt install prometheus): the alert rules are NOT tested"
        warnings.warn(reason, stacklevel=2)
        pytest.skip(reason)
    return found


def _check_expression(expression: str) -> None:
    names = _NAME.findall(expression)
    assert names or SYNAPSES_OWN in expression, expression
    assert set(names) <= set(SERIES), expression
    for name, selectors in _SELECTED.findall(expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
        assert labels <= SERIES[name] | {"job", "index", "instance"}, expression


def _dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def _targets(dashboard: Any) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def _rules() -> list[Any]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules: list[Any] = group["rules"]
    return rules


def test_every_metric_is_documented() -> None:
    """The reference has a row for each metric, with its type and labels, and no other."""
    rows = {name: (kind, labels) for name, kind, labels, _, _ in _ROW.findall(REFERENCE)}
    expected = {}
    for metric in ALL:
        (family,) = metric.describe()
        name = family.name.removeprefix(PREFIX) + "_total" * (family.type == "counter")
        labels = metric._labelnames[2:]
        assert ("server_name", "database_name") == metric._labelnames[:2]
        expected[name] = (family.type, ", ".join(f"`{label}`" for label in labels))
    assert expected == rows


def test_reasons_are_documented() -> None:
    """Each cause that can hold an update stands in the reference."""
    row = next(line for line in REFERENCE.splitlines() if line.startswith("| `held`"))
    assert set(update_metrics._HOLDS.values()) <= set(re.findall(r"`(\w+)`", row))


def test_dashboard_asks_for_what_there_is() -> None:
    """Every metric in an expression exists with the labels asked for, and each is shown."""
    dashboard = _dashboard()
    expressions = list(_targets(dashboard))
    for expression in expressions:
        _check_expression(expression)
        for selectors in _SELECTED.findall(expression):
            assert 'server_name="$server_name",job=~"$job",index=~"$index"' in selectors[1]
    shown = set(_NAME.findall(" ".join(expressions)))
    for metric in ALL:
        (family,) = metric.describe()
        assert any(name.startswith(family.name) for name in shown), family.name
    for legend in re.findall(r"{{(\w+)}}", " ".join(_legends(dashboard))):
        assert legend in set().union(*SERIES.values())


def _legends(dashboard: Any) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["legendFormat"]


def test_dashboard_s_variables() -> None:
    """The variables are those of Synapse's dashboard, each is used, and no other is."""
    dashboard = _dashboard()
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert ["DS_PROMETHEUS", "server_name", "job", "index"] == variables
    for variable in dashboard["templating"]["list"][1:]:
        _check_expression(variable["query"]["query"])
    used = set(re.findall(r"\$(\w+)", " ".join(_targets(dashboard))))
    assert set(variables[1:]) == used - {"__rate_interval"}
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert "${DS_PROMETHEUS}" == panel["datasource"]["uid"]


def test_dashboard_s_panels() -> None:
    """Each panel has an id of its own and a title, and none lies on another."""
    panels = _dashboard()["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    assert all(panel["title"] for panel in panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_rules_ask_for_what_there_is() -> None:
    """Every metric of a rule exists; each rule is complete and documented, and has tests."""
    tested: dict[str, set[bool]] = {}
    for test in yaml.safe_load(RULES_TEST.read_text())["tests"]:
        for series in test["input_series"]:
            _check_expression(series["series"])
        for case in test["alert_rule_test"]:
            fires = bool(case.get("exp_alerts"))
            tested.setdefault(case["alertname"], set()).add(fires)
    rules = _rules()
    for rule in rules:
        _check_expression(rule["expr"])
        assert re.fullmatch(r"(?:[A-Z][a-z]+)+", rule["alert"])
        assert re.fullmatch(r"\d+[mhd]", rule["for"])
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
        assert {True, False} == tested[rule["alert"]]
    documented = re.findall(
        r"^\| `(Synapse\w+)` \| .* \| (info|warning|critical) \|", REFERENCE, re.M
    )
    assert [(rule["alert"], rule["labels"]["severity"]) for rule in rules] == documented


def test_runbooks_exist() -> None:
    """The address in each alert is that of a heading in the documentation."""
    for rule in _rules():
        path = rule["annotations"]["runbook_url"].partition("/blob/main/")[2]
        page, _, anchor = path.partition("#")
        assert anchor in anchors(ROOT / page), rule["alert"]


def test_requests_of_clients() -> None:
    """The dashboard shows their time beside the duty cycle, by labels that Synapse's metric has."""
    (panel,) = (panel for panel in _dashboard()["panels"] if "requests" in panel["title"])
    expressions = [target["expr"] for target in panel["targets"]]
    assert any("batch_duration_seconds_sum" in expression for expression in expressions)
    (own,) = response_timer.describe()
    assert f"{own.name}_bucket" == SYNAPSES_OWN
    for expression in expressions[:2]:
        (selectors,) = re.findall(rf"{SYNAPSES_OWN}{{([^}}]*)}}", expression)
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
        assert {"server_name", "servlet", "code"} == labels
        assert labels - {"server_name"} <= set(response_timer._labelnames)  # old versions lack it


def test_rules_do_what_their_tests_say() -> None:
    """Each alert fires and does not fire as it should, by promtool."""
    done = subprocess.run(
        [_promtool(), "test", "rules", RULES_TEST.name],
        cwd=RULES_TEST.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_expressions_are_valid(tmp_path: Path) -> None:
    """What the dashboard and the reference ask is PromQL, by promtool."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", REFERENCE, re.S)
    asked = [block for language, block in blocks if not language]
    for expression in asked:
        _check_expression(expression)
    expressions = [*_targets(_dashboard()), *asked]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for file in (path, RULES):
        done = subprocess.run(
            [_promtool(), "check", "rules", file], capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr
