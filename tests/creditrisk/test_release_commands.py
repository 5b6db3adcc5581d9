"""The release commands as an operator types them."""

import getpass
import re
from pathlib import Path

import pytest

from creditrisk.__main__ import main
from creditrisk.registry import Estimate
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import load_settings
from creditrisk.storage import Storage
from tests.planted_versions import REFUSED, plant

A, B = "2020-12-31-aaaaaaaaaa", "2021-01-31-bbbbbbbbbb"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(tmp_path))
    return Storage(load_settings().registry_root)


def said(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> str:
    assert main(command) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_promote_roll_back_and_who_served_when(registry: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    for version in (A, B):
        plant(registry, version)
    said(capsys, "promote", A, "--by", "ada", "--reason", "first")
    first = ReleaseLedger(registry).read(1).at
    line = said(capsys, "promote", B, "--by", "ada", "--reason", "better")
    assert re.fullmatch(
        rf"release 2  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC  promote  {B} serves  by ada: better\n", line
    )
    assert f"roll back  {A} serves  by eve: late loans" in said(
        capsys, "roll-back", "--by", "eve", "--reason", "late loans"
    )
    assert f"{B} serves" in said(capsys, "roll-back", "--to", B, "--by", "eve", "--reason", "undo")
    assert len(said(capsys, "releases").splitlines()) == 4
    assert f"release 1  {first:%Y-%m-%d %H:%M:%S} UTC  promote  {A} serves" in said(
        capsys, "served-at", first.isoformat()
    )
    assert said(capsys, "releases", "--at", "2999-01-01").startswith("release 4  ")
    assert said(capsys, "releases", "--at", "2000-01-01", code=1) == (
        "creditrisk: no version served at 2000-01-01T00:00:00+00:00:"
        f" the first was released at {first.isoformat()}\n"
    )


def test_a_challenge_from_its_start_to_its_end(registry: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    for version in (A, B):
        plant(registry, version)
    why = ("--by", "ada", "--reason", "to see")
    assert "abort: nothing: does not challenge" in said(capsys, "abort", *why, code=1)
    said(capsys, "promote", A, *why)
    assert f"challenge  {A} serves, {B} challenges at 0  by ada: to see" in said(capsys, "challenge", B, *why)
    assert f"grow  {A} serves, {B} challenges at 0.05" in said(
        capsys, "challenge", B, "--share", "0.05", *why
    )
    assert said(capsys, "versions").splitlines()[1].endswith("accepted  challenges at 0.05")
    assert "a share only grows" in said(capsys, "challenge", B, "--share", "0.03", *why, code=1)
    assert f"abort: {A}: does not challenge" in said(capsys, "abort", A, *why, code=1)
    assert f"abort  {A} serves  by ada: to see" in said(capsys, "abort", *why)
    assert [record.share for record in ReleaseLedger(registry).history()] == [0.0, 0.0, 0.05, 0.0]


def test_the_machines_user_is_the_default(registry: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    plant(registry, A)
    assert f"by {getpass.getuser()}: first" in said(capsys, "promote", A, "--reason", "first")


def test_versions_say_what_each_is_worth_and_which_serves(
    registry: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No model version" in said(capsys, "versions")
    plant(registry, A, metrics={"roc_auc": Estimate(value=0.57, low=0.54, high=0.6)})
    plant(registry, B, gate=REFUSED)
    said(capsys, "promote", A, "--by", "ada", "--reason", "first")
    first, second = said(capsys, "versions").splitlines()
    assert first.startswith(A)
    assert first.endswith("forest  ROC AUC 0.5700 (0.5400 to 0.6000)  accepted  serves")
    assert second.endswith("no ROC AUC  refused: ROC AUC 0.41 is below 0.53")


def test_a_damaged_manifest_hides_no_other_version(
    registry: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(registry, A)
    registry.create(f"models/2021-01-31/{B}/manifest.json", b"{}")
    first, second = said(capsys, "versions").splitlines()
    assert first.startswith(A)
    assert second.startswith(f"version {B}: manifest.json")


def test_errors_are_one_line(registry: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    plant(registry, A, gate=REFUSED)
    assert said(capsys, "promote", A, "--reason", "why not", code=1) == (
        f"creditrisk: version {A}: refused by the model gate: ROC AUC 0.41 is below 0.53\n"
    )
    assert said(capsys, "roll-back", "--reason", "late loans", code=1) == (
        "creditrisk: roll back: nothing has been released yet\n"
    )
    assert "time: 'noon'" in said(capsys, "served-at", "noon", code=1)
    assert "nothing has been released yet" in said(capsys, "releases", "--at", "2021-01-01", code=1)
    assert "reason: empty" in said(capsys, "promote", A, "--reason", " ", code=1)
    assert said(capsys, "releases") == "Nothing has been released yet.\n"
