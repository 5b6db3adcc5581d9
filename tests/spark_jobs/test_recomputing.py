"""What is worked out again for some customers is what the job wrote of them, and what has changed since is told."""

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from creditrisk.recomputation import Recomputation, RecomputedRows, SkewSample, ask, newest_recomputation
from local.generate_loans import generate_loans
from spark_jobs import recompute_customers
from spark_jobs.recomputing import recompute
from tests.spark_jobs.landing import AS_OF, Built, Lake, csv_text, loan

DAY = date(2021, 1, 1)


def again(lake: Lake, customers: dict[str, list[int]]) -> Recomputation:
    key = ask(lake.storage, SkewSample(day=DAY, decisions=[], customers=customers))
    _, made = recompute(lake.settings, key, lake.spark)
    assert newest_recomputation(lake.storage, DAY) == made
    return made


def rows_of(lake: Lake, built: Built, customers: Sequence[int]) -> RecomputedRows:
    (found,) = again(lake, {built.manifest.snapshot: list(customers)}).snapshots
    return found


def by_id(found: RecomputedRows) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in found.rows}


@pytest.fixture
def market(lake: Lake, tmp_path: Path) -> Built:
    """Generated loans with bad rows, and what two files say of one another, built into a snapshot."""
    file = tmp_path / "generated.csv"
    generate_loans(file, 150, 500, 5, AS_OF, with_bad_rows=True)
    lake.land(file.read_text(), date(2020, 12, 30))
    own = [
        loan(1, id=-1, loan_date="2020-06-01"),  # two on one day, and an earlier one
        loan(2, id=-1, loan_date="2020-06-01", loan_amount="200.25"),
        loan(3, id=-1, loan_date="2020-05-01", loan_amount="0.000001"),
        loan(4, id=-2, job_start_date="3021-09-18"),
        loan(5, id=-3, loan_date="2020-12-31"),
        loan(6, id=-4, loan_date="2021-01-02"),  # later than the snapshot
        loan(7, id=-4, loan_amount="7"),
        loan(8, id=-5, loan_date="2020-03-01"),
        loan(9, id=-5, loan_date="2020-04-01"),
        loan(10, id=-6, loan_amount="-1"),
    ]
    lake.land(own, name="own.csv")
    lake.land(
        [*own[:3], loan(9, id=-7), loan(8, id=-5, loan_date="2020-03-01", loan_amount="100.50")], name="b.csv"
    )
    lake.land("loan_id,status,known_on\n1,1,2020-12-01\n", kind="labels")
    return lake.build()


def test_every_customers_row_is_the_snapshots_whatever_has_landed_since(lake: Lake, market: Built) -> None:
    counts = market.manifest.counts
    assert min(counts.quarantined, counts.repeated, counts.later, counts.labels_in) > 0
    lake.land([loan(900, id=-1), loan(2, id=-1, loan_amount="5")], date(2020, 12, 30), "since.csv")
    lake.land([loan(901, id=-2)], date(2021, 1, 5), "later.csv")
    expected = market.customers()
    assert expected[-1]["avg_amount_loans_previous"] == 0.000001
    assert -5 in expected  # one of its two loans is also claimed by another
    assert expected[-5]["loan_count"] == 1
    assert -6 not in expected
    found = rows_of(lake, market, sorted(expected))
    assert (found.problem, found.changed_files) == (None, [])
    assert by_id(found) == expected
    assert list(found.rows[0]) == list(expected[-1])
    some = rows_of(lake, market, [-99, -6, -5, -1])
    assert by_id(some) == {number: expected[number] for number in (-5, -1)}
    assert rows_of(lake, market, [-99]).rows == []


def test_a_file_that_was_replaced_since_is_told_and_its_rows_come_out_as_they_are_now(
    lake: Lake, market: Built
) -> None:
    (recorded,) = [file for file in market.manifest.inputs if file.url.endswith("own.csv")]
    assert recorded.sha256
    lake.land([loan(5, id=-3, loan_date="2020-12-30")], name="own.csv")
    found = rows_of(lake, market, [-3])
    (told,) = found.changed_files
    assert told.startswith(f"{recorded.url} is not the file that was read: its SHA-256 is ")
    assert by_id(found)[-3] == market.customers()[-3] | {"loan_date": date(2020, 12, 30)}


def test_without_a_recorded_hash_a_files_rows_are_counted(lake: Lake, market: Built) -> None:
    older = [file.model_copy(update={"sha256": None}) for file in market.manifest.inputs]
    manifest = market.manifest.model_copy(update={"inputs": older, "snapshot": f"{AS_OF}-{'a' * 12}"})
    lake.catalog.commit(manifest)
    lake.land([loan(5, id=-3, birthday="1981-01-01")], name="own.csv")
    found = again(lake, {manifest.snapshot: [-3]}).snapshots[0]
    (told,) = found.changed_files
    assert told.endswith("own.csv is not the file that was read: it has 1 rows, and had 10.")


def test_what_cannot_be_worked_out_again_is_told_and_stops_no_other_snapshot(
    lake: Lake, market: Built
) -> None:
    lake.land([loan(1)], date(2020, 11, 30))
    early = lake.build(date(2020, 11, 30))
    gone = f"{AS_OF}-{'b' * 12}"
    other = market.manifest.model_copy(
        update={"snapshot": f"{AS_OF}-{'c' * 12}", "contract_fingerprint": "another"}
    )
    lake.catalog.commit(other)
    path = lake.storage.local_root
    assert path is not None
    (path / "raw" / "loans" / str(AS_OF) / "own.csv").unlink()
    asked = {each: [1] for each in (market.manifest.snapshot, gone, other.snapshot)}
    made = again(lake, asked | {early.manifest.snapshot: [5008827]})
    found = {each.snapshot: each for each in made.snapshots}
    assert found[gone].problem == f"snapshot {gone}: not in the lake {lake.storage.url}"
    assert str(found[other.snapshot].problem).endswith("its features were defined otherwise")
    problem = str(found[market.manifest.snapshot].problem)
    assert "1 of the 3 files that it was made of are no longer there: " in problem
    assert problem.endswith("/own.csv")
    assert by_id(found[early.manifest.snapshot]) == early.customers()


def test_a_header_that_changed_is_told(lake: Lake) -> None:
    lake.land([loan(1)])
    built = lake.build()
    lake.land("loan_id,id\n1,2\n")
    assert "columns are not the contract's" in str(rows_of(lake, built, [5008827]).problem)


def test_files_outside_a_landing_day_and_of_odd_names_are_found_again(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "loans in a folder"
    folder.mkdir()
    (folder / "a b%20c.csv").write_text(csv_text([loan(1, id=1), loan(2, id=2)]))
    built = lake.build(loans=str(folder))
    assert by_id(rows_of(lake, built, [1, 2])) == built.customers()
    lake.land([loan(3, id=3)], name="deeper/x%y.csv")
    landed = lake.build()
    assert by_id(rows_of(lake, landed, [3])) == landed.customers()


def test_a_lake_in_s3_is_worked_out_again_from_copies(lake: Lake, s3_url: str) -> None:
    in_s3 = Lake(lake.settings.model_copy(update={"lake_url": s3_url}), lake.spark)
    text = csv_text([loan(1, id=1), loan(2, id=2, job_start_date="3021-09-18")])
    in_s3.storage.create(f"raw/loans/{AS_OF}/the loans.csv", text.encode())
    built = in_s3.build()
    (recorded,) = built.manifest.inputs
    assert recorded.sha256 == hashlib.sha256(text.encode()).hexdigest()
    found = rows_of(in_s3, built, [1, 2])
    assert (found.problem, found.changed_files) == (None, [])
    assert [row["years_on_the_job"] for row in found.rows] == [10, None]
    in_s3.storage.remove(f"raw/loans/{AS_OF}/the loans.csv")
    assert str(rows_of(in_s3, built, [1]).problem).endswith(f"no longer there: {recorded.url}")


def test_the_command_tells_a_missing_sample_in_one_line(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lake.settings.lake_root.removesuffix(f"/{lake.settings.market}")
    sample = f"reports/{DAY}/skew-sample-0001.json"
    job = [f"--sample={sample}", f"--lake={root}", f"--market={lake.settings.market}"]
    assert recompute_customers.main(job) == 1
    told = capsys.readouterr()
    assert told.err == f"ObjectMissing: {lake.storage.url_of(sample)}: no such object\n"
    assert told.out == ""


def test_nothing_but_the_answer_is_left_in_the_lake(lake: Lake, market: Built) -> None:
    before = lake.storage.keys()
    assert rows_of(lake, market, [-1]).rows
    names = {key.rpartition("/")[2] for key in set(lake.storage.keys()) - set(before)}
    assert names == {"skew-sample-0001.json", "skew-rows-0001-0001.json"}
