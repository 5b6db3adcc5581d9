"""A day measured as a whole: a real log, a real version with its training set, a real snapshot, and the report."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from creditrisk.errors import ObjectMissing
from creditrisk.metric_store import MetricStore
from creditrisk.registry import TRAINING_SET_FILE, ModelRegistry, version_folder
from creditrisk.settings import Settings, file_url
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.evidently_report import newest_report, write_report
from monitoring.fill_up import load_scorer
from monitoring.monitor import PARTS, monitor_day, monitor_part
from monitoring.reference import Reference, References
from tests.logged_decisions import decision, log
from tests.monitoring.generated_market import GeneratedMarket
from tests.planted_versions import plant
from training.split import Side, side_of

MADE, DAY = date(2021, 1, 10), date(2021, 1, 12)
VERSION = "2021-01-10-aaaaaaaaaa"
NOON = datetime(2021, 1, 12, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return GeneratedMarket(DAY, customers=3000)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, market: GeneratedMarket) -> Path:
    """A registry with a version."""
    folder = tmp_path_factory.mktemp("registry")
    market.train(Storage(file_url(folder)), MADE, VERSION)
    return folder


@pytest.fixture
def settings(market_settings: Settings, market: GeneratedMarket, trained: Path) -> Settings:
    """Of a market with 700 decisions on a day, on the features of the night before."""
    registry = Storage(market_settings.registry_root)
    assert registry.local_root
    shutil.copytree(trained, registry.local_root)
    scorer = load_scorer(ModelRegistry(registry), VERSION)
    ids, rows = market.online(DAY - timedelta(days=1))
    records = []
    for customer, row in list(zip(ids.tolist(), rows.tolist(), strict=True))[::4][:700]:
        age, years, loans, mean, car = (None if value != value else value for value in row)
        features = (int(age), None if years is None else int(years), int(loans), mean, int(car))
        probability = scorer.flat.probability(features)
        records.append(
            decision(
                customer,
                decided_at=NOON,
                features=features,
                champion=VERSION,
                model_version=VERSION,
                probability=probability,
                threshold=scorer.threshold,
                decision=int(probability >= scorer.threshold),
            )
        )
    log(market_settings, records)
    return market_settings


def kept(settings: Settings) -> dict[tuple[str, str], Any]:
    found = MetricStore(settings).between(DAY, DAY)
    return {(each.measure.metric, each.measure.part): each.measure for each in found}


def test_a_day_is_kept_with_value_limit_verdict_and_words(settings: Settings) -> None:
    measures = monitor_day(settings, DAY)
    found = kept(settings)
    assert len(found) == len(measures)
    assert {each.verdict for each in measures} == {Verdict.PASS, Verdict.NOT_JUDGED}
    assert found["decisions", "day/all"].value == 700
    age = found["population_stability_index", "day/champion/age"]
    assert (age.verdict, age.limit) == (Verdict.PASS, 0.1)
    assert 0 < age.value < 0.1
    assert age.words.startswith("The distribution of age has a population stability index of 0.0")
    assert found["approval_rate", "week/all"].value == pytest.approx(0.89, abs=0.04)
    assert found["unseen_customers_share", "day/all"].value == pytest.approx(0.03, abs=0.03)
    assert found["skew_rows", "day/all"].verdict is Verdict.NOT_JUDGED  # its snapshot was never made
    assert found["volume_ratio", "all"].verdict is Verdict.NOT_JUDGED
    assert {metric for metric, _ in found} == {
        metric for part in PARTS.values() for metric in part.metrics
    }  # fmt: skip


def test_measuring_again_replaces_one_subject_alone_and_all_the_same(settings: Settings) -> None:
    monitor_day(settings, DAY)
    before = kept(settings)
    monitor_part(settings, DAY, "drift")
    assert kept(settings) == before
    log(settings, [decision(10**9 + number, decided_at=NOON) for number in range(5)])
    monitor_part(settings, DAY, "service_level")
    assert kept(settings)["decisions", "day/all"].value == 700
    monitor_part(settings, DAY, "drift")
    assert kept(settings)["decisions", "day/all"].value == 705


def test_the_reference_is_each_customers_newest_loan_that_the_version_was_judged_on(
    settings: Settings, market: GeneratedMarket
) -> None:
    reference = References(settings).of(VERSION)
    assert isinstance(reference, Reference)
    rows, used = market.features(MADE)
    who = market.people.id[market.loans["customer"][used]]
    dates = market.loans["day"][used].astype("datetime64[D]")
    is_judged = (dates >= np.datetime64(reference.manifest.split.cut_date)) & np.array(
        [side_of(int(each)) is Side.TEST for each in who]
    )
    newest = {int(each): row for each, row in zip(who[is_judged], rows[is_judged], strict=True)}
    assert len(reference.rows) == len(newest)
    np.testing.assert_array_equal(reference.rows, [newest[each] for each in sorted(newest)])
    assert set(newest) < set(reference.customers.tolist())
    assert reference.probabilities is not None
    each_loan = settings.monitoring.model_copy(update={"reference": "loans"})
    all_of_them = References(settings.model_copy(update={"monitoring": each_loan})).of(VERSION)
    assert isinstance(all_of_them, Reference)
    assert len(all_of_them.rows) == is_judged.sum()


def test_a_version_that_cannot_be_compared_with_says_why(settings: Settings) -> None:
    registry = Storage(settings.registry_root)
    other = "2021-01-10-bbbbbbbbbb"
    plant(registry, other)
    references = References(settings)
    assert references.of(other) == f"version {other}: manifest.json names no file {TRAINING_SET_FILE}"
    unknown = "2021-01-10-cccccccccc"
    assert str(references.of(unknown)).startswith(f"version {unknown}: ")
    registry.remove(f"{version_folder(VERSION)}/model.joblib")
    unscored = References(settings).of(VERSION)
    assert isinstance(unscored, Reference)
    assert (unscored.scores, unscored.approval_rate) == (None, None)
    assert "model.joblib is gone" in str(unscored.unscored_because)
    monitor_part(settings, DAY, "drift")
    found = kept(settings)
    assert found["population_stability_index", "day/all/age"].verdict is Verdict.PASS
    scores = found["score_population_stability_index", "day/all"]
    assert scores.verdict is Verdict.NOT_JUDGED
    assert "model.joblib is gone" in scores.words


def test_the_report_is_a_page_of_its_own_and_the_next_one_has_the_next_number(settings: Settings) -> None:
    lake = Storage(settings.lake_root)
    with pytest.raises(ObjectMissing):
        lake.read("reports/2021-01-12/drift-0001.html")
    assert write_report(settings, DAY) == "reports/2021-01-12/drift-0001.html"
    page = lake.read("reports/2021-01-12/drift-0001.html").decode()
    assert "years_on_the_job" in page
    assert "probability" in page
    assert 'src="http' not in page
    assert write_report(settings, DAY) == "reports/2021-01-12/drift-0002.html"
    assert newest_report(lake, DAY) == "reports/2021-01-12/drift-0002.html"
    assert newest_report(lake, MADE) is None
    assert write_report(settings, DAY + timedelta(days=9)) is None
