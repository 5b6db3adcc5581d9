"""Samples and their answers come back from the lake as they were put there, and nothing is overwritten."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from creditrisk.recomputation import (
    Recomputation,
    RecomputedRows,
    SkewSample,
    answer,
    ask,
    newest_recomputation,
    sample_of,
)
from creditrisk.settings import file_url
from creditrisk.storage import Storage
from tests.creditrisk.snapshot_factory import customers_table

DAY = date(2021, 1, 10)
SNAPSHOT = "2021-01-09-ab12cd34ef56"


@pytest.fixture
def lake(tmp_path: Path) -> Storage:
    return Storage(file_url(tmp_path / "a lake"))


def sample(*customers: int) -> SkewSample:
    return SkewSample(day=DAY, decisions=["one"], customers={SNAPSHOT: list(customers)})


def recomputed(asked: SkewSample, **changes: object) -> Recomputation:
    rows = RecomputedRows(snapshot=SNAPSHOT, code_version="a").model_copy(update=changes)
    return Recomputation(sample=asked, code_version="b", snapshots=[rows])


def test_every_value_of_a_row_comes_back_as_it_was(lake: Storage) -> None:
    rows = customers_table(list(range(1, 60)), DAY).to_pylist()
    for number, row in enumerate(rows, start=1):
        if row["avg_amount_loans_previous"] is not None:
            row["avg_amount_loans_previous"] = number * 1e9 / 7
    key = ask(lake, sample(1, 2))
    assert sample_of(lake, key) == sample(1, 2)
    answer(lake, key, recomputed(sample(1, 2), rows=rows, changed_files=["a.csv is not the file."]))
    found = newest_recomputation(lake, DAY)
    assert found is not None
    assert found.snapshots[0].rows == rows
    assert {type(row["birthday"]) for row in found.snapshots[0].rows} == {date}
    assert found.snapshots[0].changed_files == ["a.csv is not the file."]


def test_the_newest_sample_that_was_answered_counts_and_its_last_answer(lake: Storage) -> None:
    assert newest_recomputation(lake, DAY) is None
    first, second = ask(lake, sample(1)), ask(lake, sample(2))
    assert (first, second) == tuple(f"reports/{DAY}/skew-sample-000{number}.json" for number in (1, 2))
    answers = [
        answer(lake, first, recomputed(sample(1))),
        answer(lake, second, recomputed(sample(2), problem="gone")),
        answer(lake, second, recomputed(sample(2), problem="still gone")),
        answer(lake, first, recomputed(sample(1))),
    ]
    assert len(set(answers)) == 4
    ask(lake, sample(3))
    found = newest_recomputation(lake, DAY)
    assert found is not None
    assert (found.sample, found.snapshots[0].problem) == (sample(2), "still gone")
    assert newest_recomputation(lake, DAY + timedelta(days=1)) is None


def test_an_answer_needs_a_sample_to_be_the_answer_to(lake: Storage) -> None:
    with pytest.raises(ValueError, match="not the key of a sample"):
        answer(lake, f"reports/{DAY}/drift-0001.html", recomputed(sample(1)))
    assert lake.keys() == []
