from datetime import timedelta
from pathlib import Path

import pytest

from creditrisk.settings import Settings
from local import walkthrough
from local.landing import look_at
from local.progress import Progress, StackError
from local.walkthrough import (
    SAMPLE,
    remember,
    remembered_choice,
    sample_file,
    today,
    walk_through,
    with_market,
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("CREDITRISK_MARKET", raising=False)
    return Settings(_env_file=None, var_dir=tmp_path / "var")


def test_the_first_run_takes_a_sample(settings: Settings) -> None:
    assert remembered_choice(settings, "", Progress()) == SAMPLE


def test_a_run_without_a_file_goes_on_with_the_last_one_and_says_so(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own loans.csv"
    own.touch()
    assert remembered_choice(settings, str(own), Progress()) == str(own)
    remember(settings, str(own))
    assert remembered_choice(settings, "", Progress()) == str(own)
    assert f"Going on with {own}" in capsys.readouterr().out
    assert remembered_choice(settings, SAMPLE, Progress()) == SAMPLE
    remember(settings, SAMPLE)
    assert remembered_choice(settings, "", Progress()) == SAMPLE


def test_a_file_that_cannot_be_used_is_not_remembered(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(StackError, match=r"empty\.csv"):
        walk_through(settings, str(tmp_path / "empty.csv"))
    assert remembered_choice(settings, "", Progress()) == SAMPLE


def test_a_missing_file_is_named_and_not_remembered(settings: Settings) -> None:
    with pytest.raises(StackError, match=r"^LOANS=none\.csv: no such file$"):
        remembered_choice(settings, "none.csv", Progress())
    assert remembered_choice(settings, "", Progress()) == SAMPLE


def test_generated_loans_never_share_a_market_with_a_user_s_own(settings: Settings) -> None:
    assert with_market(settings, SAMPLE).lake_root != with_market(settings, "/loans.csv").lake_root
    assert with_market(settings, "/loans.csv").market == "mx"


def test_a_market_that_the_environment_names_is_taken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_MARKET", "pe")
    chosen = settings.model_copy(update={"market": "pe"})
    assert with_market(chosen, SAMPLE) is chosen


def test_the_sample_is_made_once_and_its_newest_loan_is_yesterday_s(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walkthrough, "SAMPLE_CUSTOMERS", 20)
    monkeypatch.setattr(walkthrough, "SAMPLE_DAYS", 60)
    file = sample_file(settings, Progress())
    assert look_at(file, today(settings)).newest == today(settings) - timedelta(days=1)
    written = file.stat().st_mtime_ns
    assert sample_file(settings, Progress()) == file
    assert file.stat().st_mtime_ns == written
