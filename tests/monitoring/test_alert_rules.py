"""The rules as a whole: each has a name, its section of the runbook, and something to look at that exists."""

import re
from datetime import timedelta

import pytest

from creditrisk.settings import PROJECT_ROOT
from monitoring import drift, incoming, results, service_level, skew
from monitoring.alert_rules import BY_NAME, RULES
from monitoring.nightly_probe import NIGHT_OUTCOME, NIGHT_VERDICT, NIGHTLY_RUN, NIGHTLY_START, OTHER_NIGHTS
from monitoring.probes import (
    AIRFLOW_PARTS,
    LAKE,
    MLFLOW,
    MONITORING,
    POSTGRES,
    REGISTRY,
    SERVICE,
    SERVICE_PARTS,
)
from monitoring.rule_kinds import Lasting, Rule

RUNBOOK = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
SECTIONS = dict(section.split("\n\n", 1) for section in RUNBOOK.split("\n## ")[1:])
PROBES = {
    POSTGRES, LAKE, REGISTRY, MLFLOW, MONITORING, NIGHTLY_RUN, NIGHTLY_START, OTHER_NIGHTS, SERVICE, *SERVICE_PARTS.values(),
    *(f"airflow {part}" for part in AIRFLOW_PARTS),
}  # fmt: skip
METRICS = {
    NIGHT_OUTCOME,
    NIGHT_VERDICT,
    *(name for module in (drift, incoming, results, service_level, skew) for name in module.METRICS),
}

rules = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def test_each_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(RULES)


@rules
def test_each_has_a_section_of_its_severity_that_says_what_to_do(rule: Rule) -> None:
    section = SECTIONS[rule.title]
    assert section.startswith(f"*{rule.severity.capitalize()}.* ")
    assert "- **Do**: " in section


@rules
def test_its_anchor_is_the_headings(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z-]+", rule.anchor)
    assert rule.anchor == re.sub(r"[^\w\- ]", "", rule.title).strip().lower().replace(" ", "-")


def test_no_section_is_of_no_rule() -> None:
    prometheus = (PROJECT_ROOT / "docker" / "prometheus" / "creditrisk-rules.yml").read_text()
    asked = {rule.anchor for rule in RULES} | set(re.findall(r"runbook: docs/runbook\.md#(\S+)", prometheus))
    assert {title.lower().replace(" ", "-").replace("'", "") for title in SECTIONS} == asked


@rules
def test_what_it_looks_at_exists(rule: Rule) -> None:
    if isinstance(rule.broken_when, tuple):
        for days in rule.broken_when:
            assert set(days.metrics) <= METRICS
            assert 1 <= days.bad <= days.of
            assert days.verdicts
    elif isinstance(rule.broken_when, Lasting):
        assert rule.broken_when.probe in PROBES
        assert rule.broken_when.at_least <= timedelta(hours=1)


@rules
def test_its_advice_is_a_short_sentence(rule: Rule) -> None:
    assert rule.advice.endswith(".")
    assert len(rule.advice) <= 120
