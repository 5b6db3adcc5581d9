import logging

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException  # noqa: E402

from creditrisk import errors  # noqa: E402
from plugins.failures import told_plainly  # noqa: E402


@pytest.mark.parametrize(
    "error",
    [
        errors.QualityGateFailed,
        errors.VersionRefused,
        errors.ReleaseConflict,
        errors.SnapshotMissing,
        errors.HeaderError,
    ],
)
def test_what_another_try_cannot_mend_fails_at_once(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(AirflowFailException, match=r"^what is wrong$"),
        told_plainly(),
    ):
        raise error("what is wrong")
    assert caplog.messages == ["what is wrong"]


@pytest.mark.parametrize(
    "error",
    [errors.StoreUnavailable, errors.ObjectMissing, errors.StorageError, errors.NoInputError, OSError],
)
def test_what_may_pass_by_itself_is_left_to_the_retries(error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^away$"), told_plainly():
        raise error("away")
