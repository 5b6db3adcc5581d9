"""The process beside the service: it ends in time, whatever happens, and its failure is a sentence."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from creditrisk.errors import ReplayUnavailable
from creditrisk.settings import Settings
from serving.replay_process import ReplayProcess
from tests.decision_records import decision_record


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_replay_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    before = children()
    process = ReplayProcess(Settings(_env_file=None, var_dir=tmp_path), seconds=0.2)
    began = time.monotonic()
    with pytest.raises(ReplayUnavailable, match=r"not replayed within 0\.2 s"):
        asyncio.run(process.replay(decision_record()))
    assert time.monotonic() - began < 5
    assert children() <= before


def test_a_process_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path).model_copy(update={"market": "no; market"})
    with pytest.raises(
        ReplayUnavailable, match=r"not replayed: replay: CREDITRISK_MARKET: .* should match pattern"
    ):
        asyncio.run(ReplayProcess(settings).replay(decision_record()))


def test_where_nothing_was_kept_all_is_said_to_be_missing(tmp_path: Path) -> None:
    """And two at once take turns."""
    process = ReplayProcess(Settings(_env_file=None, var_dir=tmp_path))
    records = [decision_record(), decision_record()]

    async def both() -> list[dict[str, object]]:
        return list(await asyncio.gather(*(process.replay(record) for record in records)))

    for record, answered in zip(records, asyncio.run(both()), strict=True):
        assert answered["decision_id"] == record.decision_id
        assert answered["verdict"] == "not compared"
        missing = answered["not_compared"]
        assert isinstance(missing, list)
        assert [one["what"] for one in missing] == ["features", "release", "probability, threshold, decision"]
