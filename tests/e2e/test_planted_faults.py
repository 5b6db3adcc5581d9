"""Planted faults, each seen on the operators' page as exactly its alert, and a healthy month without one.

The faults are told one after the other, each in place of the one before, whose alert has ended by then.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from local.demo_month import Fault
from monitoring.alert_rules import BY_NAME
from tests.e2e.browsing import Seen
from tests.e2e.planted_market import PlantedMarket, planted_market
from tests.e2e.system import System


@pytest.fixture(scope="module")
def shown(system: System, browser: Browser) -> Iterator[tuple[PlantedMarket, Seen]]:
    """The market, and a viewer's browser on its page."""
    with planted_market(system) as (market, base):
        viewer = Seen(system, browser, "viewer", base)
        yield market, viewer
        viewer.context.close()


@pytest.mark.parametrize(
    ("fault", "days", "rule", "words", "ended"),
    [
        (Fault.NIGHT_NEVER_STARTED, 8, "nightly_never_started", "was due to start at", None),
        (Fault.LATE_NIGHT, 8, "nightly_late", "and has not ended", "nightly_never_started"),
        (Fault.LATE_LABELS, None, "labels_overdue", "outcome", "nightly_late"),
        (None, None, None, "", "labels_overdue"),
        (Fault.DRIFT, 14, "drift", "population stability index", None),
        (None, 8, None, "", "drift"),
    ],
    ids=lambda value: str(value) if isinstance(value, Fault) else "",
)
def test_a_planted_fault_is_its_alert_on_the_page_and_no_other(
    shown: tuple[PlantedMarket, Seen],
    fault: Fault | None,
    days: int | None,
    rule: str | None,
    words: str,
    ended: str | None,
) -> None:
    market, viewer = shown
    market.tell(*([fault] if fault else []), days=days or market.long)
    done = market.look()
    assert (done["started"], done["ended"]) == (int(rule is not None), int(ended is not None))
    page = viewer.page
    assert viewer.open("now") == 200
    alerts = page.locator("main article")
    if ended:
        page.get_by_text("ended in the last seven days").click()
        assert page.locator("details tr", has_text=ended).count() == 1
    if rule is None:
        assert alerts.count() == 0
        expect(page.get_by_text("No alert is open.")).to_be_visible()
        return
    assert alerts.count() == 1
    said = alerts.inner_text()
    assert words in alerts.get_by_role("heading").inner_text()
    assert said.split("Rule\n")[1].startswith(rule)
    assert f"Since\n{_day(said)}" in said
    assert f"Still served\nmodel {market.market.version}, snapshot 2" in said
    assert f"What to do\n{BY_NAME[rule].advice}" in said
    alerts.get_by_role("link").click()
    section = page.get_by_role("heading", name=BY_NAME[rule].title, exact=True)
    expect(section).to_be_in_viewport()


def _day(said: str) -> str:
    """The day since which, which is none to come."""
    day = said.split("Since\n")[1][:10]
    assert day > "2020-01-01"
    return day
