"""The runbook on the page: each rule's link leads to its section."""

import html
from pathlib import Path
from typing import Any

import pytest

from monitoring.alert_rules import RULES
from tests.airflow_environment import prepare

prepare()

from plugins.operators_page import runbook  # noqa: E402


@pytest.mark.usefixtures("settings")
def test_every_rule_has_its_section_where_its_link_leads(login: Any) -> None:
    text = html.unescape(login("viewer").get("/operators/runbook").text)
    missing = [
        rule.name for rule in RULES if f'<h2 id="{rule.anchor}" tabindex="-1">{rule.title}</h2>' not in text
    ]
    assert missing == []
    assert "**" not in text
    assert "](" not in text


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("docs/runbook.md#the-lake", "/operators/runbook#the-lake"),
        ("docs/runbook.md", "/operators/runbook"),
        ("https://wiki.example/runbook#the-lake", "https://wiki.example/runbook#the-lake"),
        ("javascript:alert(1)", "/operators/runbook"),
    ],
)
def test_an_alert_s_link_leads_to_the_web_or_to_the_page_s_own(link: str, leads: str) -> None:
    class Here:
        def url(self, path: str) -> str:
            return f"/operators/{path}"

    here: Any = Here()
    assert runbook.address_of(here, link) == leads


@pytest.mark.usefixtures("settings")
def test_an_installation_without_it_says_where_it_is(
    login: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runbook, "FILE", tmp_path / "runbook.md")
    answer = login("viewer").get("/operators/runbook")
    assert answer.status_code == 404
    assert "docs/runbook.md of the project" in answer.text
