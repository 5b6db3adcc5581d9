"""The reasons in words: a code for programs and a sentence for people, of every feature of the contract."""

from typing import NamedTuple


class ReasonWords(NamedTuple):
    """A feature's reason code, and what is said of a value on each side of the usual one."""

    code: str
    below: str
    above: str
    missing: str | None = None
    """Of a feature that may be missing."""
    present: str | None = None
    """Where the feature is usually missing."""

    def sentence(self, value: float | None, usual: float | None) -> str:
        """What is said of a value that is not the usual one."""
        if value is None:
            said = self.missing
        elif usual is None:
            said = self.present
        else:
            said = self.below if value < usual else self.above
        if said is None:
            raise ValueError(f"{self.code}: nothing is said of the value {value} where {usual} is usual")
        return said


WORDS: dict[str, ReasonWords] = {
    "age": ReasonWords(
        "R01_AGE",
        below="The applicant is younger than is usual.",
        above="The applicant is older than is usual.",
    ),
    "years_on_the_job": ReasonWords(
        "R02_YEARS_ON_THE_JOB",
        below="The time in the present job is shorter than is usual.",
        above="The time in the present job is longer than is usual.",
        missing="The applicant has no present job.",
        present="The applicant has a present job, which is unusual here.",
    ),
    "nb_previous_loans": ReasonWords(
        "R03_PREVIOUS_LOANS",
        below="There are fewer previous loans than is usual.",
        above="There are more previous loans than is usual.",
    ),
    "avg_amount_loans_previous": ReasonWords(
        "R04_AMOUNT_OF_PREVIOUS_LOANS",
        below="The previous loans were smaller than is usual.",
        above="The previous loans were larger than is usual.",
        missing="There is no loan of an earlier day.",
        present="There are loans of earlier days, which is unusual here.",
    ),
    "flag_own_car": ReasonWords(
        "R05_CAR",
        below="The applicant owns no car.",
        above="The applicant owns a car.",
    ),
}
