"""How a job's command line ends, for whoever started it: a task that is to know whether another try may help."""

from collections.abc import Sequence

import pytest

from creditrisk import errors
from spark_jobs.command_line import FOR_A_PERSON, ended


def ended_with(error: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def job() -> Sequence[str]:
        raise error

    code = ended(job)
    return code, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("error", [errors.HeaderError, errors.ContractError, errors.SettingsError])
def test_what_somebody_must_mend_ends_with_a_code_of_its_own(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(error("no such column"), capsys) == (FOR_A_PERSON, f"{error.__name__}: no such column")


@pytest.mark.parametrize(
    "error",
    [errors.StorageError, errors.ObjectMissing, errors.NoInputError, errors.ReadingUnsound, errors.InputsGone, OSError],
)  # fmt: skip
def test_what_may_pass_by_itself_or_is_not_known_ends_as_any_failure(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(error("away"), capsys) == (1, f"{error.__name__}: away")


def test_a_job_that_goes_well_says_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: ["all is well", "its id"]) == 0
    assert capsys.readouterr().out == "all is well\nits id\n"
