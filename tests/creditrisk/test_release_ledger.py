"""Release records in storage: their race, and that nothing unfit is ever promoted."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from creditrisk.errors import (
    ContractMismatch,
    CreditRiskError,
    LibraryMismatch,
    NothingReleased,
    ReleaseConflict,
    ReleaseError,
    VersionDamaged,
    VersionMissing,
    VersionRefused,
)
from creditrisk.registry import MODEL_FILE, version_folder
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger, promote, roll_back
from creditrisk.settings import Settings, load_settings
from creditrisk.storage import Storage
from tests.planted_versions import REFUSED, plant

A, B, C = "2020-12-31-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb", "2021-01-31-cccccccccc"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(var_dir=tmp_path)


@pytest.fixture
def registry(settings: Settings) -> Storage:
    return Storage(settings.registry_root)


@pytest.fixture
def ledger(registry: Storage) -> ReleaseLedger:
    return ReleaseLedger(registry)


def record(number: int, champion: str = A, by: str = "ada") -> ReleaseRecord:
    return ReleaseRecord(
        number=number,
        action=ReleaseAction.PROMOTE,
        champion=champion,
        by=by,
        reason="better",
        at=datetime(2021, 1, 1, tzinfo=UTC),
    )


def outcome_of(url: str, writer: int) -> str:
    try:
        ReleaseLedger(Storage(url)).append(record(1, by=f"writer {writer}"))
    except ReleaseConflict as error:
        return str(error)
    return f"won by {writer}"


def assert_one_won(outcomes: list[str], ledger: ReleaseLedger) -> None:
    [winner] = [outcome.removeprefix("won by ") for outcome in outcomes if outcome.startswith("won by ")]
    assert Counter(outcomes)[f"release 1: writer {winner} was faster (promote {A}: better):"
                             " look at it, then try again"] == len(outcomes) - 1  # fmt: skip
    assert ledger.history() == [record(1, by=f"writer {winner}")]


def test_of_sixteen_threads_one_wins_and_the_others_are_told(ledger: ReleaseLedger) -> None:
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(outcome_of, [ledger.storage.url] * 16, range(16)))
    assert_one_won(outcomes, ledger)


def test_of_several_processes_one_wins_and_the_others_are_told(ledger: ReleaseLedger) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(outcome_of, [ledger.storage.url] * 16, range(16)))
    assert_one_won(outcomes, ledger)


def test_on_s3_too_one_wins_and_the_others_are_told(s3_url: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(outcome_of, [s3_url] * 16, range(16)))
    assert_one_won(outcomes, ReleaseLedger(Storage(s3_url)))


def test_of_two_promotions_at_once_one_is_told(
    settings: Settings, registry: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (A, B):
        plant(registry, version)
    append = ReleaseLedger.append

    def append_after_somebody_else(ledger: ReleaseLedger, theirs: ReleaseRecord) -> None:
        monkeypatch.setattr(ReleaseLedger, "append", append)
        promote(settings, B, by="eve", reason="mine first")
        append(ledger, theirs)

    monkeypatch.setattr(ReleaseLedger, "append", append_after_somebody_else)
    with pytest.raises(ReleaseConflict, match=rf"release 1: eve was faster \(promote {B}: mine first\)"):
        promote(settings, A, by="ada", reason="better")
    assert [release.champion for release in ReleaseLedger(registry).history()] == [B]


def test_an_empty_ledger_has_no_newest_record(ledger: ReleaseLedger) -> None:
    assert ledger.newest() is None
    assert ledger.history() == []
    assert not ledger.exists(1)
    with pytest.raises(ReleaseError, match="release 1: no such record"):
        ledger.read(1)


def test_records_are_numbered_and_read_back(ledger: ReleaseLedger) -> None:
    for number in (1, 2):
        ledger.append(record(number))
    assert ledger.storage.keys("releases") == ["releases/00000001.json", "releases/00000002.json"]
    assert ledger.newest() == ledger.read(2) == record(2)
    assert ledger.exists(2)
    assert not ledger.exists(3)


def test_a_record_that_cannot_be_read_is_named(ledger: ReleaseLedger) -> None:
    ledger.storage.create("releases/00000001.json", b'{"number": 1}')
    with pytest.raises(ReleaseError, match="release 1: the record cannot be read"):
        ledger.newest()


def test_promote_then_roll_back(settings: Settings, registry: Storage, ledger: ReleaseLedger) -> None:
    for version in (A, B):
        plant(registry, version)
    promote(settings, A, by="ada", reason="first")
    second = promote(settings, B, by="ada", reason="better")
    third = roll_back(settings, by="eve", reason="too many declined")
    assert ledger.history()[1:] == [second, third]
    assert (third.number, third.action, third.champion, third.by, third.reason) == (
        3,
        ReleaseAction.ROLL_BACK,
        A,
        "eve",
        "too many declined",
    )
    assert roll_back(settings, by="eve", reason="undo", to=B).champion == B


def test_promoting_what_serves_writes_nothing(
    settings: Settings, registry: Storage, ledger: ReleaseLedger
) -> None:
    plant(registry, A)
    first = promote(settings, A, by="ada", reason="first")
    assert promote(settings, A, by="eve", reason="again") == first
    assert ledger.history() == [first]


@pytest.mark.parametrize("flaw", ["missing", "refused", "damaged", "contract", "library"])
def test_an_unfit_version_is_not_promoted(
    settings: Settings, registry: Storage, ledger: ReleaseLedger, flaw: str
) -> None:
    errors: dict[str, type[CreditRiskError]] = {
        "missing": VersionMissing,
        "refused": VersionRefused,
        "damaged": VersionDamaged,
        "contract": ContractMismatch,
        "library": LibraryMismatch,
    }
    plant_flawed(registry, A, flaw)
    with pytest.raises(errors[flaw], match=A):
        promote(settings, A, by="ada", reason="better")
    assert ledger.history() == []


def test_a_version_that_was_damaged_since_is_not_rolled_back_to(
    settings: Settings, registry: Storage, ledger: ReleaseLedger
) -> None:
    for version in (A, B, C):
        plant(registry, version)
        promote(settings, version, by="ada", reason="better")
    damage(registry, B)
    with pytest.raises(VersionDamaged, match=B):
        roll_back(settings, by="eve", reason="too many declined")
    assert len(ledger.history()) == 3
    assert roll_back(settings, by="eve", reason="too many declined", to=A).champion == A


def test_rolling_back_before_any_release_is_told(settings: Settings) -> None:
    with pytest.raises(NothingReleased):
        roll_back(settings, by="eve", reason="too many declined")


def plant_flawed(registry: Storage, version: str, flaw: str) -> None:
    if flaw == "refused":
        plant(registry, version, gate=REFUSED)
    elif flaw == "contract":
        plant(registry, version, contract_fingerprint="f" * 16)
    elif flaw == "library":
        plant(
            registry,
            version,
            library_versions={"scikit-learn": "1.0", "numpy": "2.0", "joblib": "1.0"},
        )
    elif flaw == "damaged":
        plant(registry, version)
        damage(registry, version)


def damage(registry: Storage, version: str) -> None:
    assert registry.local_root
    file = registry.local_root / version_folder(version) / MODEL_FILE
    file.write_bytes(b"something else")
