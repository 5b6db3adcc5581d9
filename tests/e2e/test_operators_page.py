"""The operators' page in a real browser, on the live stack with a generated month: seen, acted on, and kept from others.

That planted faults give exactly their alerts, and a healthy month none: test_planted_faults.py.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from creditrisk.errors import NothingToRollBackTo
from creditrisk.release import rollback_target
from local import airflow
from tests.e2e.browsing import Seen
from tests.e2e.system import System, python, wait_until

VIEWS = {
    "now": "Now",
    "nights": "Last nights",
    "models": "Models",
    "release": "Release",
    "drift": "Drift and results",
    "decision": "A decision",
    "what-now": "What now",
}
DAYS, DECISIONS, MEASURED = 30, 600, 8
REASON = "the first one was better, says the page"


@pytest.fixture(scope="module")
def history(system: System) -> str:
    """A generated month; what the command printed."""
    made = python(
        system.environment,
        *("-m", "local.demo_history", "--market", system.settings.market, "--real-nights", "1"),
        *("--days", str(DAYS), "--decisions", str(DECISIONS), "--measured-days", str(MEASURED)),
    )
    assert made.returncode == 0, made.stdout
    return made.stdout


@pytest.fixture(scope="module")
def operator(system: System, browser: Browser, history: str) -> Iterator[Seen]:  # noqa: ARG001
    seen = Seen(system, browser, "op")
    yield seen
    seen.context.close()


@pytest.fixture(scope="module")
def viewer(system: System, browser: Browser, history: str) -> Iterator[Seen]:  # noqa: ARG001
    seen = Seen(system, browser, "viewer")
    yield seen
    seen.context.close()


def logged(system: System) -> dict[str, Any]:
    """A decision of the history."""
    (row,) = system.query(
        "SELECT decision_id::text, customer, snapshot, model_version FROM {schema}.decisions "
        "WHERE key_name = 'demo history' AND loan = 'next' ORDER BY decided_at DESC LIMIT 1"
    )
    return dict(zip(("decision_id", "customer", "snapshot", "version"), row, strict=True))


def test_the_page_is_in_airflows_menu(operator: Seen) -> None:
    operator.page.goto(operator.base, wait_until="domcontentloaded")
    operator.page.get_by_role("link", name="Credit risk").or_(
        operator.page.get_by_role("button", name="Credit risk")
    ).first.click()
    inside = operator.page.frame_locator("iframe")
    expect(inside.get_by_role("heading", level=1, name="Now")).to_be_visible(timeout=20_000)
    inside.get_by_role("link", name="Last nights").click()
    expect(inside.get_by_role("heading", level=1, name="Last nights")).to_be_visible(timeout=20_000)


def test_the_tabs_are_reached_by_clicking_from_a_dag_to_its_run_and_its_task(operator: Seen) -> None:
    page = operator.page
    inside = page.frame_locator("iframe")
    page.goto(f"{operator.base}/dags", wait_until="domcontentloaded")
    page.get_by_role("link", name="refresh_features", exact=True).first.click()
    page.locator('a[href$="/plugin/operators-dag"]', has_text="Credit risk").click()
    expect(inside.get_by_role("heading", level=1, name="Last nights")).to_be_visible(timeout=20_000)

    page.get_by_role("link", name="Runs", exact=True).click()
    run = page.locator("table").get_by_role("link").first
    run_id = run.inner_text()
    run.click()
    page.locator('a[href$="/plugin/operators-run"]', has_text="What now").click()
    expect(inside.get_by_role("heading", level=1, name="What now")).to_be_visible(timeout=20_000)
    expect(inside.get_by_text(f"refresh_features, {run_id}")).to_be_visible()

    page.get_by_role("link", name="Task Instances", exact=True).click()
    page.locator("table").get_by_role("link", name="publish", exact=True).first.click()
    page.locator('a[href$="/plugin/operators-task"]', has_text="What now").click()
    expect(inside.get_by_role("heading", level=1, name="What now: publish")).to_be_visible(timeout=20_000)


def test_every_view_and_an_action_are_reached_by_the_keyboard_alone(operator: Seen) -> None:
    page = operator.page
    operator.open("now")
    for name in [*list(VIEWS.values())[1:], "Now"]:
        _tab_to(page, "link", name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    _tab_to(page, "link", "Last nights")
    page.keyboard.press("Enter")
    page.wait_for_url("**/nights")
    night = page.locator("tbody th a").first.inner_text()
    _tab_to(page, "link", night)
    page.keyboard.press("Enter")
    page.wait_for_url("**as_of=*")
    _tab_to(page, "link", "Run this night again …")
    page.keyboard.press("Enter")
    _tab_to(page, "textbox", "Date")
    assert page.get_by_label("Date", exact=True).input_value() == night
    _tab_to(page, "button", "Show what will happen")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This will happen")).to_be_visible()
    _tab_to(page, "button", "Run a night again")


def _tab_to(page: Page, role: Any, name: str) -> None:
    """Press Tab until something has the focus, as everybody can see."""
    wanted = page.get_by_role(role, name=name, exact=True).first
    expect(wanted).to_be_visible()
    for _ in range(150):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    else:
        raise AssertionError(f"{name} is not reached by Tab")
    outline = wanted.evaluate("element => getComputedStyle(element).outlineWidth")
    assert outline == "3px", f"{name} has the focus, and nobody sees it"


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_opens_fits_and_fetches_nothing_from_elsewhere(operator: Seen, path: str) -> None:
    operator.problems.clear()
    for width in (1280, 700):
        operator.page.set_viewport_size({"width": width, "height": 900})
        assert operator.open(path) == 200
        expect(operator.page.get_by_role("heading", level=1, name=VIEWS[path])).to_be_visible()
        overflow = operator.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{path} is {overflow} pixels too wide at {width}"
    operator.page.set_viewport_size({"width": 1280, "height": 900})
    assert operator.page.locator('nav [aria-current="page"]').inner_text() == VIEWS[path]
    operator.page.keyboard.press("Tab")
    assert operator.page.evaluate("document.activeElement.className") == "skip"
    assert (operator.problems, operator.elsewhere) == ([], [])


def test_now_says_what_is_served_and_how_it_goes(operator: Seen, system: System) -> None:
    operator.open("now")
    text = operator.text()
    snapshot, _, _ = system.served()
    assert snapshot in text
    assert system.ledger.history()[-1].champion in text
    row = operator.page.get_by_role("row", name="the last day").inner_text().split("\t")
    assert int(row[1].replace(",", "")) > DECISIONS / 4
    assert "ms" in row[4]


def test_last_nights_has_a_row_a_night_and_shows_refused_rows(operator: Seen, system: System) -> None:
    operator.open("nights")
    assert operator.page.get_by_role("row").count() >= DAYS
    (night,) = system.query(
        "SELECT as_of, rows_in, snapshot FROM {schema}.nights WHERE starts_with(run_id, 'generated') "
        "ORDER BY as_of DESC LIMIT 1"
    )
    operator.open(f"nights?as_of={night[0]}&run_id=generated%20{night[0]}")
    text = operator.text()
    assert night[2] in text
    assert f"{night[1]:,} in = " in text
    assert "The quality gate says" in text
    operator.page.get_by_text("× unparsable").click()
    expect(operator.page.get_by_text("A number or a date cannot be read")).to_be_visible()
    rows = operator.page.locator("details", has_text="unparsable").get_by_role("row")
    expect(rows.filter(has_text="unknown").first).to_be_visible()


def test_models_shows_the_champion_with_its_plots(operator: Seen, system: System) -> None:
    champion = system.ledger.history()[-1].champion
    operator.open("models")
    operator.page.get_by_role("link", name=champion).first.click()
    expect(operator.page.get_by_text("accepted by the model gate; it is the champion")).to_be_visible()
    picture = operator.page.locator("figure img").first
    picture.scroll_into_view_if_needed()
    wait_until(lambda: int(picture.evaluate("image => image.naturalWidth")) > 100, "the plot is there", 20)


def test_drift_and_results_measure_a_healthy_month(operator: Seen) -> None:
    operator.open("drift")
    assert "Every measure that could be judged is inside its limit" in operator.text()
    for feature in (
        "age",
        "years_on_the_job",
        "nb_previous_loans",
        "avg_amount_loans_previous",
        "flag_own_car",
    ):
        assert operator.page.get_by_role("row").filter(has_text=feature).count() >= 1
    operator.page.get_by_role("link", name="avg_amount_loans_previous").first.click()
    expect(operator.page.locator(".js-plotly-plot").first).to_be_visible(timeout=20_000)
    results = operator.page.locator("#results ~ div table").first.inner_text()
    assert "champion" in results


def test_a_decision_has_its_receipt_its_trail_and_is_made_again(operator: Seen, system: System) -> None:
    wanted = logged(system)
    operator.open("decision")
    operator.page.locator("main input[type=text], main input:not([type])").first.fill(wanted["decision_id"])
    operator.page.keyboard.press("Enter")
    expect(operator.page.get_by_role("heading", name="Receipt")).to_be_visible()
    assert wanted["snapshot"] in operator.text()
    operator.page.get_by_role("link", name="Search the landed files").click()
    assert f"landed rows of customer {wanted['customer']}" in operator.text()
    operator.page.get_by_role("link", name="Replay it").click()
    expect(operator.page.locator("#replay ~ p").first).to_contain_text("same", timeout=60_000)


def test_what_is_asked_for_in_vain_is_told_and_not_run(operator: Seen) -> None:
    operator.open("decision?id=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "That is neither a decision's id" in operator.text()
    assert operator.page.locator("main input").first.input_value() == "<script>alert(1)</script>"
    assert operator.page.locator("main script").count() == 0
    assert operator.open("nights?as_of=yesterday&run_id=x") in (400, 404, 422)
    assert operator.open("models?version=2020-12-31-0123456789") == 404


def test_a_viewer_sees_and_cannot_act(viewer: Seen, system: System) -> None:
    before = system.ledger.history()
    for path, name in VIEWS.items():
        assert viewer.open(path) == 200
        expect(viewer.page.get_by_role("heading", level=1, name=name)).to_be_visible()
        assert viewer.page.locator('main a[href*="/act/"]').count() == 0, path
    for action in ("promote", "roll-back", "abort", "rerun", "release"):
        assert viewer.open(f"act/{action}") == 403
        answer = viewer.context.request.post(f"{viewer.base}/operators/act/{action}", form={"token": "x"})
        assert answer.status == 403
    assert system.ledger.history() == before


def test_nobody_sees_anything_without_a_login(system: System, browser: Browser) -> None:
    base = airflow.base_url(system.settings)
    champion = system.ledger.history()[-1].champion
    with httpx.Client(base_url=f"{base}/operators") as client:
        for path in (*VIEWS, "", "dag", "drift/report", "act/roll-back", "act/done", "openapi.json", "docs"):
            answer = client.get(f"/{path}")
            assert answer.status_code in (401, 404), f"{path}: {answer.status_code}"
            assert champion not in answer.text
        assert client.post("/act/roll-back", data={"to": champion}).status_code == 401
    stranger = Seen(system, browser, None)
    assert stranger.open("now") == 401
    assert champion not in stranger.page.content()
    stranger.context.close()


def test_an_operator_rolls_back_from_the_page_and_sees_it_happen(operator: Seen, system: System) -> None:
    champion = _with_something_to_go_back_to(system)
    page = operator.page
    operator.open("now")
    page.get_by_role("link", name="Roll back").click()
    target = page.get_by_label("Version to go back to").input_value()
    assert target != champion
    page.get_by_label("Why").fill(REASON)
    page.get_by_role("button", name="Show what will happen").click()
    expect(page.get_by_role("heading", name="This will happen")).to_be_visible()
    assert f"{target} decides on every customer instead of {champion}" in operator.text()
    assert system.ledger.history()[-1].champion == champion  # nothing has been done yet

    page.get_by_role("button", name="Roll back the model").click()
    expect(page.get_by_role("heading", level=1, name="It is done")).to_be_visible(timeout=120_000)
    newest = system.ledger.history()[-1]
    assert (newest.action, newest.champion, newest.by, newest.reason) == ("roll back", target, "op", REASON)
    system.wait_for_model(target)
    page.get_by_role("link", name="To what is being served now").click()
    assert target in page.locator(".card").first.inner_text()
    operator.open("release")
    assert REASON in operator.text()


def _with_something_to_go_back_to(system: System) -> str:
    """The champion, once there is one before it: where there is none, another version is promoted."""
    history = system.ledger.history()
    champion = history[-1].champion
    with suppress(NothingToRollBackTo):
        rollback_target(history)
        return champion
    others = {record.champion for record in history} - {champion}
    version = others.pop() if others else _trained(system)
    _, state = system.run_dag("promote_model", {"version": version, "reason": "to have two"})
    assert state == "success"
    system.wait_for_model(version)
    return version


def _trained(system: System) -> str:
    run_id, state = system.run_dag("train_model", {"spec": "boosting", "seed": 3})
    assert state == "success", system.log("train_model", run_id, "register")
    with system.login() as client:
        return str(client.result("train_model", run_id, "register"))


def test_generated_nights_can_be_told_from_the_markets_own(system: System, history: str) -> None:
    (counted,) = system.query(
        "SELECT count(*)::int FROM {schema}.nights WHERE starts_with(run_id, 'generated')"
    )
    assert counted == (DAYS + 1,)
    assert f"{DAYS + 1} nights (run ids 'generated …'), of which the feature job built" in history
    own = system.query(
        "SELECT as_of, outcome, verdict FROM {schema}.nights WHERE NOT starts_with(run_id, 'generated') "
        "ORDER BY started_at LIMIT 1"
    )
    assert [row[:2] for row in own] == [(system.newest, "published")]  # by the tasks of make run themselves
    assert own[0][2] in ("pass", "warn")
    days = system.query(
        "SELECT day, verdict, value, words FROM {schema}.metrics WHERE metric = 'skew_rows' ORDER BY day"
    )
    *earlier, (newest, *found) = days
    assert {each[0] for each in days} >= {newest - timedelta(days=back) for back in range(MEASURED)}
    assert {each[1] for each in earlier} == {"not judged"}
    assert found[:2] == ["pass", 0], found


def test_a_mornings_run_has_the_job_work_the_days_customers_out_again(system: System, history: str) -> None:  # noqa: ARG001
    question = "SELECT day, verdict, value, detail->>'compared' FROM {{schema}}.metrics WHERE metric = 'skew_rows' AND day {}"
    ((newest, *found),) = system.query(question.format("= (SELECT max(day) FROM {schema}.metrics)"))
    day = str(newest - timedelta(days=1))
    with system.login() as client:
        client.unpause("monitor_model")
    run_id, state = system.run_dag("monitor_model", {"day": day})
    assert state == "success", system.log("monitor_model", run_id, "recompute")
    assert "customers worked out again." in system.log("monitor_model", run_id, "recompute")
    ((_, *again),) = system.query(question.format(f"= '{day}'"))
    assert again[:2] == found[:2] == ["pass", 0]
    assert int(again[2]) > DECISIONS / 2
