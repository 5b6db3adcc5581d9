"""Acting from the page, through Airflow's own trigger, on its own database."""

import html
import re
from typing import Any

import pytest

from creditrisk import release_ledger
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from tests.planted_versions import REFUSED, plant

OLD, NEW = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb"
FORM = {"to": OLD, "reason": "the first was <b>better</b>"}


@pytest.fixture
def released(settings: Settings) -> Settings:
    for version in (OLD, NEW):
        plant(Storage(settings.registry_root), version)
        release_ledger.promote(settings, version, by="ana", reason="a first")
    return settings


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def runs_of(dag_id: str) -> list[Any]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return [
            (run.run_id, run.conf, run.triggering_user_name, str(run.run_type))
            for run in session.scalars(select(DagRun).where(DagRun.dag_id == dag_id))
        ]


@pytest.mark.usefixtures("released")
def test_what_is_confirmed_is_triggered_with_the_form_and_the_user_s_name(login: Any) -> None:
    op = login("op")
    asked = op.get("/operators/act/roll-back").text
    assert f'value="{OLD}"' in asked
    shown = op.get("/operators/act/roll-back/confirm", params=FORM).text
    assert f"{OLD} decides on every customer instead of {NEW}" in shown
    assert "<b>better</b>" not in shown
    before = runs_of("roll_back_model")
    answer = op.post("/operators/act/roll-back", data=hidden(shown))
    assert answer.status_code == 303
    ((run_id, conf, user, kind),) = [run for run in runs_of("roll_back_model") if run not in before]
    assert (conf, user, kind) == (FORM, "a op", "manual")
    done = op.get(answer.headers["location"])
    assert done.status_code == 200
    assert run_id in html.unescape(done.text)
    assert 'http-equiv="refresh"' in done.text
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        kept = session.scalars(select(Log).where(Log.event == "trigger_dag_run", Log.run_id == run_id)).all()
        assert [(line.owner, line.dag_id) for line in kept] == [("a op", "roll_back_model")]


@pytest.mark.usefixtures("released")
def test_a_confirmation_is_good_for_one_run(login: Any) -> None:
    op = login("op")
    fields = hidden(
        op.get("/operators/act/rerun/confirm", params={"as_of": "2021-01-09", "landed_until": ""}).text
    )
    before = runs_of("refresh_features")
    assert op.post("/operators/act/rerun", data=fields).status_code == 303
    written_otherwise = fields["token"][:-1] + chr(ord(fields["token"][-1]) ^ 1)
    for token in (fields["token"], written_otherwise):
        again = op.post("/operators/act/rerun", data={**fields, "token": token})
        assert again.status_code in (403, 409)
    again = op.post("/operators/act/rerun", data=fields)
    assert again.status_code == 409
    assert "This was confirmed already, and is done by the run operators_page__" in again.text
    assert len(runs_of("refresh_features")) == len(before) + 1


@pytest.mark.usefixtures("released")
class TestNothingIsTriggered:
    def refused(self, login: Any, said: str, status: int = 403, **changes: Any) -> None:
        op = login("op")
        fields = hidden(op.get("/operators/act/roll-back/confirm", params=FORM).text)
        before = runs_of("roll_back_model")
        headers = changes.pop("headers", {})
        answer = op.post("/operators/act/roll-back", data={**fields, **changes}, headers=headers)
        assert answer.status_code == status
        assert said in answer.text
        assert runs_of("roll_back_model") == before

    def test_by_a_form_without_a_token_or_with_a_made_up_one(self, login: Any) -> None:
        self.refused(login, "was not confirmed", token="")
        self.refused(login, "was not confirmed", token="WyJhIG9wIiwicm9sbC1iYWNrIl0.x.y")

    def test_by_a_form_that_is_another_than_was_shown(self, login: Any) -> None:
        self.refused(login, "something else", to=NEW)

    def test_by_another_user_s_token_or_another_action_s(self, login: Any) -> None:
        theirs = hidden(login("admin").get("/operators/act/roll-back/confirm", params=FORM).text)["token"]
        self.refused(login, "something else", token=theirs)
        form = {"version": OLD, "reason": "because I can"}
        others = hidden(login("op").get("/operators/act/promote/confirm", params=form).text)["token"]
        self.refused(login, "something else", token=others)

    def test_by_another_site_s_page(self, login: Any) -> None:
        self.refused(login, "another site", headers={"Sec-Fetch-Site": "same-site"})
        self.refused(login, "another site", headers={"Sec-Fetch-Site": "cross-site"})

    def test_by_a_confirmation_of_what_it_would_not_do_any_more(self, login: Any, settings: Settings) -> None:
        op = login("op")
        fields = hidden(op.get("/operators/act/roll-back/confirm", params=FORM).text)
        other = "2020-12-31-cccccccccc"
        plant(Storage(settings.registry_root), other)
        release_ledger.promote(settings, other, by="bea", reason="while it was being read")
        before = runs_of("roll_back_model")
        answer = op.post("/operators/act/roll-back", data=fields)
        assert answer.status_code == 409
        assert "would do something else by now" in answer.text
        assert runs_of("roll_back_model") == before

    def test_by_a_token_that_is_too_old(self, login: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from plugins.operators_page import access

        monkeypatch.setattr(access, "CONFIRM_SECONDS", -1)
        self.refused(login, "too long ago")

    def test_by_a_form_that_breaks_a_rule(self, login: Any) -> None:
        answer = login("op").get("/operators/act/roll-back/confirm", params={"to": "latest", "reason": "no"})
        assert answer.status_code == 400
        assert "is no id of the form" in answer.text
        assert "between 5 and 1000 characters" in answer.text
        assert 'name="token"' not in answer.text


@pytest.mark.usefixtures("released")
def test_a_version_that_may_not_serve_is_not_said_to_decide(login: Any, settings: Settings) -> None:
    op = login("op")
    refused = "2020-12-31-cccccccccc"
    plant(Storage(settings.registry_root), refused, gate=REFUSED)
    missing = "2020-12-31-dddddddddd"
    for version, why in (
        (refused, f"the model gate has refused {refused}."),
        (missing, f"{missing} is not in the registry."),
    ):
        form = {"version": version, "reason": "because I can"}
        for action in ("promote", "release"):
            shown = html.unescape(op.get(f"/operators/act/{action}/confirm", params=form).text)
            assert f"The run will refuse, and nothing will change: {why}" in shown
            assert "decides on every customer" not in shown


def test_what_cannot_be_done_is_said_instead_of_asked(login: Any, settings: Settings) -> None:
    plant(Storage(settings.registry_root), OLD)
    release_ledger.promote(settings, OLD, by="ana", reason="the first")
    op = login("op")
    assert "there is no version before it" in op.get("/operators/act/roll-back").text
    assert "there is nothing to abort" in op.get("/operators/act/abort").text
    confirmed = op.get("/operators/act/roll-back/confirm", params=FORM).text
    assert 'name="token"' not in confirmed
