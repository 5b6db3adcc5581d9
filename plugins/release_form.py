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
