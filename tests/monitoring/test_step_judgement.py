"""A step judged from a real log, registry and lake, filled up where too few requests have come."""

import io
from datetime import date, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import parquet

from creditrisk.errors import ChallengeRefused
from creditrisk.features import FeatureRow
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.settings import CanarySettings, Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from monitoring.canary import CanaryVerdict
from monitoring.canary_checks import Finding
from monitoring.decision_reads import LoggedRequest
from monitoring.fill_up import load_scorer, score_again, score_bin
from monitoring.genders import genders_of
from monitoring.step_judgement import StepJudge
from tests.creditrisk.snapshot_factory import customers_table, manifest_of
from tests.logged_decisions import BEGAN, decision, log, paired
from tests.planted_versions import Fault, plant_boosting

CANARY = CanarySettings(
    step_least_seconds=0,
    fill_up_after_seconds=600,
    step_longest_seconds=3600,
    least_customers=500,
    group_least_customers=100,
    problem_share_limit=0.05,
    slow_share_limit=0.2,
)


@cache
def applicants() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int_]]:
    random = np.random.default_rng(3)
    rows = np.column_stack(
        [
            random.integers(20, 70, 1500),
            random.integers(0, 40, 1500),
            random.poisson(5, 1500),
            random.gamma(2.0, 100.0, 1500).round(2),
            random.integers(0, 2, 1500),
        ]
    ).astype(np.float64)
    rows[:100, 1] = np.nan
    return rows, (random.random(1500) < rows[:, 0] / 200).astype(np.int_)


def features_of(row: npt.NDArray[np.float64]) -> FeatureRow:
    age, years, loans, mean, car = row.tolist()
    return int(age), None if years != years else int(years), int(loans), mean, int(car)


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    return market_settings.model_copy(update={"canary": CANARY})


def challenge(settings: Settings, fault: Fault) -> ReleaseRecord:
    """The record of a challenge by a planted version; the champion is sound."""
    registry = Storage(settings.registry_root)
    champion = plant_boosting(registry, *applicants(), Fault.NONE)
    challenger = plant_boosting(registry, *applicants(), fault, seed=1)
    return ReleaseRecord(
        number=2,
        action=ReleaseAction.CHALLENGE,
        champion=champion.version,
        challenger=challenger.version,
        by="a test",
        reason="to see",
        at=BEGAN,
    )


def verdict(settings: Settings, record: ReleaseRecord, seconds: float) -> CanaryVerdict:
    return StepJudge(settings).verdict(record, now=BEGAN + timedelta(seconds=seconds))


def log_the_day_before(settings: Settings, record: ReleaseRecord) -> None:
    """Ten requests of the step, and one of every applicant in the night before it."""
    scores = paired(challenger=0.1)._replace(challenger=record.challenger)
    night = BEGAN - timedelta(hours=9)
    log(
        settings,
        [
            *(decision(number, scores, champion=record.champion) for number in range(10)),
            *(
                decision(number, decided_at=night, release=1, features=features_of(row))
                for number, row in enumerate(applicants()[0])
            ),
        ],
    )


def test_a_step_with_few_requests_waits_and_is_then_filled_up(settings: Settings) -> None:
    record = challenge(settings, Fault.NONE)
    log_the_day_before(settings, record)
    early = verdict(settings, record, seconds=599)
    assert (early.finding, early.customers, early.filled_up) == (Finding.WAIT, 10, 0)
    late = verdict(settings, record, seconds=600)
    assert late.finding is Finding.GO_ON, late.reasons
    assert (late.customers, late.filled_up, late.decisions) == (1500, 1490, 1500)
    assert "1,490 of them filled up from the day before" in late.checks[1].sentence


@pytest.mark.parametrize(
    ("fault", "words"), [(Fault.INVERTED, "decide differently"), (Fault.FAILING, "its probability is nan")]
)
def test_a_bad_version_is_found_out_by_yesterday_s_requests(
    settings: Settings, fault: Fault, words: str
) -> None:
    record = challenge(settings, fault)
    log_the_day_before(settings, record)
    found = verdict(settings, record, seconds=600)
    assert found.finding is Finding.ABORT
    assert words in found.reasons[0]


def test_without_any_request_it_waits_to_the_end_and_then_aborts(settings: Settings) -> None:
    record = challenge(settings, Fault.NONE)
    log(settings, [])
    assert verdict(settings, record, seconds=3599).finding is Finding.WAIT
    last = verdict(settings, record, seconds=3600)
    assert last.finding is Finding.ABORT
    assert last.reasons[0] == "not decided in 3600 s, the longest time of a step"


def test_a_record_without_a_challenger_has_no_step(settings: Settings) -> None:
    record = challenge(settings, Fault.NONE).model_copy(update={"challenger": None})
    with pytest.raises(ChallengeRefused, match="release 2: nothing challenges"):
        verdict(settings, record, seconds=600)


def test_scoring_again_says_what_both_models_say(settings: Settings) -> None:
    record = challenge(settings, Fault.INVERTED)
    registry = ModelRegistry(Storage(settings.registry_root))
    champion = load_scorer(registry, record.champion)
    challenger = load_scorer(registry, str(record.challenger))
    rows = applicants()[0][:300]
    requests = [LoggedRequest(number, features_of(row)) for number, row in enumerate(rows)]
    found = score_again(requests, champion, challenger, dict.fromkeys(range(100), "F"))
    approves = [
        registry.load(version).model.predict_proba(rows)[:, 1] < scorer.threshold
        for version, scorer in ((record.champion, champion), (str(record.challenger), challenger))
    ]
    assert found.approvals.both == int((approves[0] & approves[1]).sum())
    assert found.approvals.only_champion == int((approves[0] & ~approves[1]).sum())
    assert found.approvals.only_challenger == int((~approves[0] & approves[1]).sum())
    assert found.groups["gender", "F"].customers == 100
    assert found.groups["age", "18 to 29"].customers == int((rows[:, 0] < 30).sum())
    assert (found.decisions, found.filled_up, found.timings.total()) == (300, 300, 300)
    assert found.champion_scores.total() == 300
    assert set(found.champion_scores) == {score_bin(float(p)) for p in champion.flat.probabilities(rows)}


def test_genders_are_those_of_the_snapshot_s_loans(settings: Settings) -> None:
    table = pa.table({"id": [1, 1, 2, 3], "code_gender": ["M", "F", "M", None], "age": [1, 2, 3, 4]})
    content = io.BytesIO()
    parquet.write_table(table, content)
    lake, day, name = Storage(settings.lake_root), date(2020, 12, 31), "loans/part-00000.parquet"
    manifest = manifest_of(customers_table([1, 2, 3], day, 1), day, {name: "0" * 64})
    lake.create(f"{SnapshotId.parse(manifest.snapshot).folder}/{name}", content.getvalue())
    SnapshotCatalog(lake).commit(manifest)
    assert genders_of(lake, manifest.snapshot) == {1: "F", 2: "M"}
    assert genders_of(lake, None) == {}


def test_a_snapshot_that_is_gone_only_leaves_the_comparison_by_gender_out(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert genders_of(Storage(settings.lake_root), "2020-12-31-ab12cd34ef56") == {}
    assert "not compared by gender" in caplog.messages[-1]
