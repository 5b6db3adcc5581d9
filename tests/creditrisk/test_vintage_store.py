"""Vintages kept in a real PostgreSQL: the newest knowledge of each stays."""

from dataclasses import replace
from datetime import date

import pytest

from creditrisk.errors import StoreError
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.vintage_store import Vintage, VintageStore
from tests.creditrisk.kept_rows import vintages

OCTOBER, NOVEMBER = date(2020, 10, 1), date(2020, 11, 1)
VINTAGE = Vintage(
    month=OCTOBER,
    version="2020-09-30-aaaaaaaaaa",
    arm="champion",
    decisions=1000,
    excluded=100,
    labelled=630,
    late=12,
    roc_auc=None,
    brier=0.0187,
    calibration_error=0.004,
    expected_roc_auc=0.61,
    expected_late_share=0.015,
    day=date(2020, 11, 20),
)


@pytest.fixture
def store(market_settings: Settings) -> VintageStore:
    OnlineStore(market_settings).migrate()
    return VintageStore(market_settings)


def test_a_later_day_s_knowledge_replaces_an_earlier_day_s_and_never_the_other_way_round(
    store: VintageStore, market_settings: Settings
) -> None:
    later = replace(VINTAGE, labelled=800, late=15, roc_auc=0.6, day=date(2020, 12, 20))
    other = replace(VINTAGE, month=NOVEMBER)
    store.keep([VINTAGE, other])
    store.keep([later])
    store.keep([VINTAGE])
    store.keep([replace(later, brier=0.02)])
    store.keep([])
    assert vintages(market_settings) == [other, replace(later, brier=0.02)]
    assert vintages(market_settings, months=0) == [other]


def test_the_share_of_outcomes_is_of_those_that_may_ever_be_known() -> None:
    assert VINTAGE.labelled_share == pytest.approx(0.7)
    assert replace(VINTAGE, excluded=1000, labelled=0).labelled_share is None


def test_all_or_none_are_kept_and_what_cannot_be_told_apart_is_refused(
    store: VintageStore, market_settings: Settings
) -> None:
    with pytest.raises(StoreError, match="violates check constraint"):
        store.keep([VINTAGE, replace(VINTAGE, month=date(2020, 10, 2))])
    assert vintages(market_settings) == []
