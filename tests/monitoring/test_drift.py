"""Healthy months alarm nobody, planted drift is found, and what cannot be judged says why."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.metric_store import Measure
from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.registry import ModelRegistry
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.drift import drift_measures
from monitoring.drift_reads import ArmCounts, SampledCustomer
from monitoring.fill_up import Scorer, load_scorer
from monitoring.histograms import FloatArray, Histogram, feature_grid, probability_grid
from monitoring.reference import Reference, References
from tests.monitoring.generated_market import GeneratedMarket, days_after

MADE = date(2021, 1, 10)
CHAMPION, CHALLENGER = "2021-01-10-aaaaaaaaaa", "2021-01-10-bbbbbbbbbb"
ALARMS = (Verdict.WARN, Verdict.FAIL)
AGE, YEARS, LOANS, MEAN, CAR = range(5)

Ids = Any


class World:
    """A generated market, two versions made of it, and what they decide on its customers."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(_env_file=None, var_dir=folder, market="t")
        self.market = GeneratedMarket(MADE + timedelta(days=30), customers=6000)
        registry = Storage(self.settings.registry_root)
        for seed, version in enumerate((CHAMPION, CHALLENGER)):
            self.market.train(registry, MADE, version, seed=seed)
        references = References(self.settings)
        self.references = {version: references.of(version) for version in (CHAMPION, CHALLENGER)}
        self.scorers = {
            version: load_scorer(ModelRegistry(registry), version) for version in (CHAMPION, CHALLENGER)
        }

    def asked(self, day: date, count: int, seed: int) -> tuple[Ids, FloatArray]:
        """Some customers, with the features of the night before."""
        ids, rows = self.market.online(day - timedelta(days=1))
        chosen = np.random.default_rng(seed).choice(len(ids), min(count, len(ids)), replace=False)
        return ids[chosen], rows[chosen]

    def measures(
        self,
        window: str,
        ids: Ids,
        rows: FloatArray,
        *,
        share: float = 0.0,
        limits: MonitoringLimits | None = None,
    ) -> list[Measure]:
        """Measures of decisions on customers, the challenger deciding on a share of them."""
        split = round(len(ids) * share)
        arms = [
            (CHALLENGER, "challenger", slice(0, split)),
            (CHAMPION, "champion", slice(split, None)),
        ]
        counts = [
            counts_of(version, arm, rows[part], self.scorers[version])
            for version, arm, part in arms
            if len(ids[part])
        ]
        sample = [
            SampledCustomer(int(each), version, arm) for version, arm, part in arms for each in ids[part]
        ]
        return drift_measures(window, counts, sample, self.references, limits or self.settings.monitoring)


def counts_of(version: str, arm: str, rows: FloatArray, scorer: Scorer) -> ArmCounts:
    scores = scorer.flat.probabilities(rows)
    histograms = {
        name: Histogram.of(feature_grid(name), rows[:, place]) for place, name in enumerate(FEATURE_NAMES)
    }
    return ArmCounts(
        version,
        arm,
        decisions=2 * len(rows),
        customers=len(rows),
        approved=int((scores < scorer.threshold).sum()),
        histograms=histograms | {"probability": Histogram.of(probability_grid(), scores)},
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    return World(tmp_path_factory.mktemp("a market"))


def alarms(measures: list[Measure]) -> set[tuple[str, str]]:
    return {(each.metric, each.part) for each in measures if each.verdict in ALARMS}


@pytest.mark.parametrize("asked", [600, 4000])
def test_a_healthy_month_alarms_nobody(world: World, asked: int) -> None:
    verdicts: Counter[Verdict] = Counter()
    for seed, day in enumerate(days_after(MADE, 30)):
        for window, count in (("day", asked), ("week", 6000)):
            ids, rows = world.asked(day, count, seed)
            for each in world.measures(window, ids, rows, share=0.25):
                verdicts[each.verdict] += 1
                assert each.verdict not in ALARMS, f"{day}: {each.words}"
    assert verdicts[Verdict.PASS] > 4000
    assert verdicts[Verdict.NOT_JUDGED] == 0


def older(rows: FloatArray) -> None:
    rows[:, AGE] += 8


def without_jobs(rows: FloatArray) -> None:
    rows[::3, YEARS] = np.nan


def larger_amounts(rows: FloatArray) -> None:
    rows[:, MEAN] *= 1.25


def more_cars(rows: FloatArray) -> None:
    rows[::3, CAR] = 1


@pytest.mark.parametrize(
    ("plant", "feature", "metrics"),
    [
        (older, "age", {"population_stability_index", "drift_test"}),
        (without_jobs, "years_on_the_job", {"population_stability_index", "missing_share"}),
        (larger_amounts, "avg_amount_loans_previous", {"population_stability_index", "drift_test"}),
        (more_cars, "flag_own_car", {"drift_test"}),
    ],
)
def test_a_feature_that_drifts_is_found_and_no_other_is_blamed(
    world: World, plant: Callable[[FloatArray], None], feature: str, metrics: set[str]
) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 3000, 1)
    plant(rows)
    found = alarms(world.measures("day", ids, rows))
    of_features = {
        (metric, part) for metric, part in found if metric not in ("score_population_stability_index", "approval_rate")
    }  # fmt: skip
    blamed = {(metric, f"day/{arm}/{feature}") for metric in metrics for arm in ("all", "champion")}
    assert blamed <= of_features
    assert {part.rsplit("/", 1)[1] for _, part in of_features} == {feature}


def test_values_beyond_the_contracts_bounds_fail(world: World) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 3000, 1)
    rows[:10, AGE] = 130
    (found,) = [
        each
        for each in world.measures("day", ids, rows)
        if (each.metric, each.part) == ("out_of_bounds_share", "day/all/age")
    ]
    assert (found.verdict, found.value) == (Verdict.FAIL, 10 / 3000)
    assert "10 of 3,000 values of age are not between 18 and 100" in found.words


def test_customers_whom_the_training_set_does_not_have_are_unseen(world: World) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 3000, 1)
    ids = np.where(np.arange(3000) % 3 == 0, ids + 10**9, ids)
    (found,) = [
        each
        for each in world.measures("day", ids, rows)
        if (each.metric, each.part) == ("unseen_customers_share", "day/all")
    ]
    assert found.verdict is Verdict.WARN
    assert found.value == pytest.approx(1 / 3 + 2 / 3 * 0.03, abs=0.02)


def test_scores_and_approvals_that_move_are_told_of_the_arm_that_moved(world: World) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 4000, 1)
    scorer = world.scorers[CHALLENGER]
    risky = scorer.flat.probabilities(rows) > np.median(scorer.flat.probabilities(rows))
    order = np.argsort(~risky, kind="stable")  # the challenger gets the riskiest half
    found = alarms(world.measures("week", ids[order], rows[order], share=0.25))
    moved = {
        part for metric, part in found if metric in ("score_population_stability_index", "approval_rate")
    }
    assert "week/challenger" in moved
    assert "week/all" not in moved


def test_few_customers_are_not_judged_and_the_sentence_has_the_numbers(world: World) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 149, 1)
    rows[:, AGE] = 90
    measures = world.measures("day", ids, rows)
    judged = [each for each in measures if each.metric != "decisions"]
    assert {each.verdict for each in judged} == {Verdict.NOT_JUDGED}
    assert {each.value for each in judged} == {None}
    assert "149 customers" in judged[0].words
    assert "150 are needed" in judged[0].words
    (decisions, _) = [each for each in measures if each.metric == "decisions"]
    assert (decisions.value, decisions.verdict) == (298, Verdict.PASS)


def test_a_version_without_a_reference_is_left_out_and_named(world: World) -> None:
    _, rows = world.asked(MADE + timedelta(days=9), 1000, 1)
    counts = [counts_of(CHALLENGER, "challenger", rows, world.scorers[CHALLENGER])]
    references: dict[str, Reference | str] = {CHALLENGER: f"version {CHALLENGER}: its training set is gone"}
    measures = drift_measures("day", counts, [], references, world.settings.monitoring)
    judged = [each for each in measures if each.metric != "decisions"]
    assert {each.verdict for each in judged} == {Verdict.NOT_JUDGED}
    assert "its training set is gone" in judged[0].words


def test_no_decisions_give_a_count_of_none_and_nothing_else_is_judged(world: World) -> None:
    measures = drift_measures("day", [], [], {}, world.settings.monitoring)
    assert [(each.part, each.value) for each in measures if each.metric == "decisions"] == [("day/all", 0)]
    assert {each.verdict for each in measures if each.metric != "decisions"} == {Verdict.NOT_JUDGED}


def test_the_detail_has_both_histograms_for_a_plot(world: World) -> None:
    ids, rows = world.asked(MADE + timedelta(days=9), 3000, 1)
    (index,) = [
        each
        for each in world.measures("day", ids, rows)
        if (each.metric, each.part) == ("population_stability_index", "day/all/years_on_the_job")
    ]
    for side in ("found", "expected"):
        assert len(index.detail[side]) == len(index.detail["edges"]) + 1
        assert sum(index.detail[side]) + index.detail[f"{side}_missing"] == pytest.approx(1, abs=1e-4)
    assert index.limit == index.detail["warn"] == 0.1
