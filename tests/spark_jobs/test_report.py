"""The last line an operator reads says what the run changed, and no more."""

from datetime import date

import pytest

from spark_jobs.report import failure_line, report_lines
from spark_jobs.writing import Outcome
from tests.spark_jobs.test_writing import manifest_of

THERE = "Snapshot 2020-12-31-aaaaaaaaaaaa was there already, with the same content"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome.NEW, "Snapshot 2020-12-31-aaaaaaaaaaaa is new and in force for 2020-12-31."),
        (Outcome.UNCHANGED, f"{THERE}: nothing has changed."),
        (Outcome.IN_FORCE_AGAIN, f"{THERE}. It is in force for 2020-12-31 again, instead of another."),
    ],
)
def test_the_last_line_says_what_changed(outcome: Outcome, told: str) -> None:
    manifest = manifest_of("a" * 64, {})
    assert manifest.as_of == date(2020, 12, 31)
    assert report_lines(manifest, outcome)[-1] == told


def test_a_failure_whose_words_went_with_the_java_process_is_told_all_the_same() -> None:
    class JavaError(Exception):
        def __str__(self) -> str:
            raise ConnectionRefusedError(111, "Connection refused")

    told = failure_line(JavaError())
    assert told.startswith("JavaError: Spark's Java process has ended")
    assert "CREDITRISK_SPARK_DRIVER_MEMORY" in told
    assert "\n" not in told
