from datetime import UTC, datetime

from creditrisk.registry import Estimate
from creditrisk.release import ReleaseAction, ReleaseRecord
from tests.airflow_environment import prepare
from tests.planted_versions import manifest_of

prepare()

from plugins.operators_page.models import changes_of, figure_of, roles_of  # noqa: E402

OLD, NEW, NEXT = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"


def record(number: int, champion: str, challenger: str | None = None) -> ReleaseRecord:
    action = ReleaseAction.CHALLENGE if challenger else ReleaseAction.PROMOTE
    return ReleaseRecord(
        number=number, action=action, champion=champion, challenger=challenger, by="a", reason="b", at=datetime(2021, 1, 1, tzinfo=UTC)
    )  # fmt: skip


def metrics(auc: float, brier: float) -> dict[str, Estimate]:
    return {
        "roc_auc": Estimate(value=auc, low=auc - 0.1, high=auc + 0.1),
        "brier": Estimate(value=brier, low=brier, high=brier),
    }


def test_a_version_is_what_the_newest_record_makes_it() -> None:
    history = [record(1, OLD), record(2, NEW), record(3, NEW, NEXT)]
    assert roles_of(history) == {OLD: "served before", NEW: "champion", NEXT: "challenger"}
    assert roles_of([]) == {}


def test_what_changed_is_told_in_the_metric_s_own_sense_of_better() -> None:
    champion = manifest_of(OLD, {"f": b"1"}, metrics=metrics(0.60, 0.020), spec={"trees": 100, "depth": 8})
    version = manifest_of(NEW, {"f": b"1"}, metrics=metrics(0.62, 0.021), spec={"trees": 200, "depth": 8})
    changes = {change.what: change for change in changes_of(champion, version)}
    assert (changes["trees"].champion, changes["trees"].version) == ("100", "200")
    assert "depth" not in changes
    assert changes["ROC AUC"].note == "+0.0200, better"
    assert changes["Brier score"].note == "+0.0010, worse"
    assert changes_of(champion, champion) == []


def test_versions_are_drawn_from_two_on() -> None:
    known = [manifest_of(name, {"f": b"1"}, metrics=metrics(0.6, 0.02)) for name in (NEW, OLD)]
    assert figure_of(known[:1], 0.53) is None
    figure = figure_of(known, 0.53)
    assert figure is not None
    assert "2 values" in figure.words
    assert "floor of the gate 0.53" in figure.words
