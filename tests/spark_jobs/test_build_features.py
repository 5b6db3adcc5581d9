"""The job as a whole: reruns, late landings, labels, leavings of killed runs, S3, and its own two entry points."""

import hashlib
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from creditrisk.contract import CUSTOMER_DIGEST_COLUMNS, FEATURES
from creditrisk.settings import PROJECT_ROOT
from spark_jobs.command_line import FOR_A_PERSON
from spark_jobs.statistics import bucket_of
from tests.spark_jobs.landing import AS_OF, Built, Lake, csv_text, line, loan

ROWS = [
    *(
        loan(
            number,
            id=number % 17,
            loan_date=f"2020-{1 + number % 12:02d}-{1 + number % 28:02d}",
            loan_amount=number,
        )
        for number in range(1, 120)
    ),
    loan(500, status="C"),
    loan(501, loan_date="2021-01-01"),
]


def files_of(built: Built) -> dict[str, bytes]:
    root = built.lake.local_root
    assert root is not None
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_rerun_changes_nothing_whatever_partitions_and_landings(lake: Lake) -> None:
    lake.land(ROWS)
    first = lake.build()
    before = files_of(first)
    assert first.is_new
    assert (first.manifest.counts.later, first.manifest.counts.quarantined) == (1, 1)

    lake.land([loan(900), loan(1)], date(2021, 1, 5))  # landed since
    lake.spark.conf.set("spark.sql.files.maxPartitionBytes", "2000")
    try:
        again = lake.build()
    finally:
        lake.spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert not again.is_new
    assert again.manifest.content_hash == first.manifest.content_hash
    late = {"raw/loans/2021-01-05/loans.csv"}
    assert {key: content for key, content in files_of(again).items() if key not in late} == before

    with_late = lake.build(landed_until=date(2021, 1, 5))  # asked for, what has landed since counts
    assert with_late.id != first.id
    assert with_late.loans().keys() == (first.loans().keys() - {1}) | {900}  # loan 1 now conflicts
    assert lake.catalog.current(AS_OF) == with_late.id


def test_the_same_rows_in_other_files_and_order_make_the_same_snapshot(lake: Lake) -> None:
    lake.land(ROWS[::-1][:60], name="a.csv")
    lake.land(ROWS[::-1][60:], name="b.csv.gz")
    split = lake.build()
    for name in ("a.csv", "b.csv.gz"):
        (Path(str(lake.storage.local_root)) / f"raw/loans/{AS_OF}/{name}").unlink()
    lake.land(ROWS)
    assert lake.build().id == split.id


def test_the_manifest_holds_hashes_digests_and_statistics(lake: Lake) -> None:
    lake.land(ROWS)
    built = lake.build()
    manifest, loans = built.manifest, built.loans()
    on_disk = {
        str(path.relative_to(built.folder())): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in built.folder().rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert manifest.files == on_disk
    assert {key.split("/")[0] for key in on_disk} == {"loans", "customers", "features.csv"}
    total = 0
    for row in built.customers().values():
        text = "|".join("" if row[name] is None else str(row[name]) for name in CUSTOMER_DIGEST_COLUMNS)
        total += int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)
    assert manifest.customers_digest == f"17:{total}"
    assert manifest.newest_loan_date == max(row["loan_date"] for row in loans.values())
    for feature in FEATURES:
        values = [row[feature.name] for row in loans.values() if row[feature.name] is not None]
        told = manifest.features[feature.name]
        assert (told.count, told.nulls) == (len(values), len(loans) - len(values))
        assert (told.min, told.max) == (min(values), max(values))
        assert told.mean == pytest.approx(sum(values) / len(values))
        assert told.out_of_bounds == 0
        histogram = [0] * (len(feature.histogram_edges) + 1)
        for value in values:
            histogram[bucket_of(feature, value)] += 1
        assert told.histogram == histogram
        assert told.quantiles["0.5"] == sorted(values)[(len(values) - 1) // 2]
    assert set(manifest.timings_seconds) == {"start", "read", "rules", "windows", "write", "total"}


def test_the_newest_label_known_by_the_date_wins(lake: Lake) -> None:
    lake.land(
        [loan(n, loan_date="2020-06-01", status=s) for n, s in enumerate(["", "0", "0", "1", "0", ""], 1)]
    )
    names = ("loan_id", "status", "known_on")

    def label(loan_id: object, status: object, known_on: str) -> dict[str, str]:
        return dict(zip(names, (str(loan_id), str(status), known_on), strict=True))

    bad = [
        label(1, 2, "2020-07-01"),
        label("", 1, "2020-07-01"),
        label(1, "", "2020-7-1"),
        label(2, 1, "2020-12-01"),
    ]
    good = [
        label(1, 1, "2020-08-01"), label(1, 0, "2020-07-01"),  # the newest of two
        label(2, 1, "2020-09-01"),  # newer than the loan's own
        label(3, 1, "2020-05-01"),  # older than the loan's own
        label(4, 0, "2020-06-01"),  # of the same day: late wins
        label(5, 1, "2021-02-01"),  # not known yet
        label(77, 1, "2020-07-01"),  # of no loan here
    ]  # fmt: skip
    lake.land(csv_text([*good[:5], good[6], *bad], names), date(2020, 11, 1), kind="labels")
    lake.land(csv_text([good[5]], names[::-1]), AS_OF, name="more.csv.gz", kind="labels")
    lake.land(csv_text([label(6, 1, "2020-07-01")], names), date(2021, 1, 1), kind="labels")  # not landed yet
    built = lake.build()
    assert {key: row["status"] for key, row in built.loans().items()} == {
        1: 1,
        2: 1,
        3: 0,
        4: 1,
        5: 0,
        6: None,
    }
    counts = built.manifest.counts
    assert (counts.rows_in, counts.kept, counts.quarantined) == (6, 6, 0)
    assert counts.labels_in == 11
    # The label known after D is not judged; the one known after its landing day is refused.
    assert counts.labels_quarantined == 4
    assert built.manifest.quarantined_by_rule == {
        "label_known_on_in_future": 1,
        "label_missing": 2,
        "label_status_not_zero_or_one": 1,
        "label_unparsable": 1,
    }


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_left_alone(lake: Lake) -> None:
    lake.land(ROWS)
    built = lake.build()
    root = Path(str(lake.storage.local_root))
    (built.folder("manifest.json")).unlink()  # killed before its commit
    (root / f"features/{AS_OF}/current-0001.json").unlink()
    (built.folder("loans") / "part-of-a-killed-run.parquet").write_text("half")
    dead = root / "staging" / "2020-12-31-dead"
    dead.mkdir(parents=True)
    (dead / "half").write_text("half")
    assert lake.catalog.current(AS_OF) is None
    again = lake.build()
    assert again.is_new
    assert again.id == built.id
    assert not (built.folder("loans") / "part-of-a-killed-run.parquet").exists()
    assert not (root / "staging").exists()
    assert lake.catalog.current(AS_OF) == built.id


def test_it_runs_as_a_module_and_under_spark_submit_and_says_the_snapshot_last(
    lake: Lake, tmp_path: Path
) -> None:
    loans = tmp_path / "the loans.csv"
    loans.write_text(csv_text(ROWS))
    job = [f"--as-of={AS_OF}", f"--lake={lake.settings.lake_url}", f"--loans={loans}"]
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master=local[1]"]
    environment = os.environ | {
        "CREDITRISK_VAR_DIR": str(tmp_path / "a var"),
        "PYSPARK_PYTHON": sys.executable,
    }
    told = []
    for command in (
        [sys.executable, "-m", "spark_jobs.build_features", *job, "--profile"],
        [*submit, str(PROJECT_ROOT / "spark_jobs" / "build_features.py"), *job],
    ):
        where = PROJECT_ROOT if "-m" in command else tmp_path
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=True)
        told.append(done.stdout.splitlines())
    assert told[0][-1] == told[1][-1] == str(lake.catalog.current(AS_OF))
    assert (
        told[0][0]
        == "121 rows in from 1 files = 119 kept + 1 quarantined + 1 later (loans after 2020-12-31)."
    )
    assert "  quarantined 1: status_not_zero_or_one: The status is neither 0, 1 nor empty." in told[0]
    assert any("nothing has changed" in said for said in told[1])
    assert list((tmp_path / "a var" / "spark" / "events").iterdir())


def test_a_broken_header_is_one_line_and_a_failure(tmp_path: Path) -> None:
    loans = tmp_path / "loans.csv"
    loans.write_text("a,b\n1,2\n")
    done = subprocess.run(
        [sys.executable, "-m", "spark_jobs.build_features", "--as-of=2020-12-31", f"--lake={tmp_path}", f"--loans={loans}"],
        cwd=PROJECT_ROOT, env=os.environ | {"CREDITRISK_VAR_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == FOR_A_PERSON
    assert done.stderr.startswith("HeaderError: columns are not the contract's: ")
    assert len(done.stderr.splitlines()) == 1
    assert line(loan(1)) not in done.stdout


def test_a_lake_in_s3_holds_the_same_snapshot_as_one_on_disk(lake: Lake, s3_url: str) -> None:
    lake.land(ROWS)
    on_disk = lake.build()
    in_s3 = Lake(lake.settings.model_copy(update={"lake_url": s3_url}), lake.spark)
    in_s3.storage.create(f"raw/loans/{AS_OF}/the loans.csv", csv_text(ROWS).encode())
    built = in_s3.build()
    assert built.id == on_disk.id == in_s3.catalog.current(AS_OF)
    assert [(file.url, file.rows) for file in built.manifest.inputs] == [
        (in_s3.storage.url_of(f"raw/loans/{AS_OF}/the loans.csv"), len(ROWS))
    ]
    for key, digest in built.manifest.files.items():
        assert hashlib.sha256(in_s3.storage.read(f"{built.id.folder}/{key}")).hexdigest() == digest
    assert in_s3.storage.keys(built.id.quarantine_folder)
    assert not in_s3.build().is_new
