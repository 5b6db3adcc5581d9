"""What the forms of the DAGs that write a release record ask alike."""

from typing import Final

from airflow.sdk import Param

VERSION_PATTERN: Final = r"^\s*\d{4}-\d{2}-\d{2}-[0-9a-f]{10}\s*$"
"""A model version's id; spaces around it come along when it is pasted."""


def reason() -> Param:
    """The field for why, which the release record keeps."""
    return Param(
        type="string", minLength=5, pattern=r"\S", title="Why", description="Kept in the release record."
    )


def model_version() -> Param:
    """The field for the version that the run is about."""
    return Param(
        type="string",
        pattern=VERSION_PATTERN,
        title="Version",
        description="As train_model's register task returned it, such as 2020-12-31-0a1b2c3d4e.",
    )
