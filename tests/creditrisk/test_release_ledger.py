"""Release records in storage: their race, and that nothing unfit is ever promoted."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk.errors import (
    ChallengeRefused,
    ContractMismatch,
    CreditRiskError,
    LibraryMismatch,
    NothingReleased,
    NothingServed,
    ReleaseConflict,
    ReleaseError,
    VersionDamaged,
    VersionMissing,
    VersionRefused,
)
from creditrisk.registry import MODEL_FILE, version_folder
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger, abort, challenge, complete, promote, roll_back
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


def test_who_served_when(ledger: ReleaseLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2021, 1, 1, tzinfo=UTC)
    with pytest.raises(NothingServed, match=r"2021-01-01T00:00:00\+00:00: nothing has been released yet"):
        ledger.served_at(start)
    hours = [0, 1, 1, *range(2, 30)]  # two clocks that differ can give two records one time
    for number, hour in enumerate(hours, start=1):
        ledger.append(record(number).model_copy(update={"at": start + timedelta(hours=hour)}))
    reads: list[int] = []
    read = ReleaseLedger.read

    def counted(ledger: ReleaseLedger, number: int) -> ReleaseRecord:
        reads.append(number)
        return read(ledger, number)

    monkeypatch.setattr(ReleaseLedger, "read", counted)
    served = [
        ledger.served_at(start + timedelta(hours=hour)).number for hour in (0, 0.5, 1, 1.5, 2, 28.9, 29, 999)
    ]
    assert served == [1, 1, 3, 3, 4, 30, 31, 31]
    assert len(reads) <= 8 * 7
    with pytest.raises(NothingServed, match=r"the first was released at 2021-01-01T00:00:00\+00:00"):
        ledger.served_at(start - timedelta(seconds=1))


class TestChallenge:
    @pytest.fixture(autouse=True)
    def _champion(self, settings: Settings, registry: Storage) -> None:
        for version in (A, B):
            plant(registry, version)
        promote(settings, A, by="ada", reason="first")

    def test_from_shadow_to_champion(self, settings: Settings, ledger: ReleaseLedger) -> None:
        for share in (0.0, 0.05, 0.05, 0.5):
            assert challenge(settings, B, share, by="judge", reason="fine so far").share == share
        last = complete(settings, B, by="judge", reason="approved")
        assert complete(settings, B, by="judge", reason="approved") == last
        assert [(str(record.action), record.champion, record.share) for record in ledger.history()] == [
            ("promote", A, 0.0),
            ("challenge", A, 0.0),
            ("grow", A, 0.05),
            ("grow", A, 0.5),
            ("promote", B, 0.0),
        ]

    def test_a_step_that_comes_after_an_abort_changes_nothing(
        self, settings: Settings, ledger: ReleaseLedger
    ) -> None:
        challenge(settings, B, 0.0, by="judge", reason="to see")
        aborted = abort(settings, B, by="eve", reason="no")
        assert abort(settings, B, by="judge", reason="no too") == aborted
        with pytest.raises(ChallengeRefused, match="starts at share 0"):
            challenge(settings, B, 0.05, by="judge", reason="fine so far")
        with pytest.raises(ChallengeRefused, match="is not the challenger"):
            complete(settings, B, by="judge", reason="approved")
        assert ledger.newest() == aborted

    @pytest.mark.parametrize("flaw", ["missing", "refused", "damaged", "contract", "library"])
    def test_an_unfit_version_does_not_challenge(
        self, settings: Settings, registry: Storage, ledger: ReleaseLedger, flaw: str
    ) -> None:
        plant_flawed(registry, C, flaw)
        with pytest.raises(CreditRiskError, match=f"version {C}: "):
            challenge(settings, C, 0.0, by="ada", reason="to see")
        assert len(ledger.history()) == 1

    def test_one_damaged_meanwhile_neither_grows_nor_is_promoted(
        self, settings: Settings, registry: Storage, ledger: ReleaseLedger
    ) -> None:
        challenge(settings, B, 0.0, by="ada", reason="to see")
        damage(registry, B)
        with pytest.raises(VersionDamaged):
            challenge(settings, B, 0.05, by="ada", reason="to see")
        with pytest.raises(VersionDamaged):
            complete(settings, B, by="ada", reason="to see")
        assert len(ledger.history()) == 2

    def test_an_abort_asks_nothing_of_damaged_files(
        self, settings: Settings, registry: Storage, ledger: ReleaseLedger
    ) -> None:
        challenge(settings, B, 0.0, by="ada", reason="to see")
        for version in (A, B):
            damage(registry, version)
        assert abort(settings, B, by="eve", reason="damaged") == ledger.newest()
        assert (ledger.history()[-1].champion, ledger.history()[-1].challenger) == (A, None)

    def test_of_a_step_and_an_abort_at_once_one_is_told(
        self, settings: Settings, ledger: ReleaseLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        challenge(settings, B, 0.0, by="judge", reason="to see")
        append = ReleaseLedger.append

        def append_after_an_abort(ledger: ReleaseLedger, theirs: ReleaseRecord) -> None:
            monkeypatch.setattr(ReleaseLedger, "append", append)
            abort(settings, B, by="eve", reason="no")
            append(ledger, theirs)

        monkeypatch.setattr(ReleaseLedger, "append", append_after_an_abort)
        with pytest.raises(ReleaseConflict, match=rf"release 3: eve was faster \(abort {A}: no\)"):
            challenge(settings, B, 0.05, by="judge", reason="fine so far")
        assert [record.challenger for record in ledger.history()] == [None, B, None]


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
