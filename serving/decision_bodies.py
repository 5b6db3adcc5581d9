"""What a client asks and is told of decisions, as JSON."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, WithJsonSchema

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord, GivenAttributes, LoanAsked
from creditrisk.errors import QuestionRefused
from serving.bodies import AnswerBody, CustomerId, CustomerIdOrText, Day, Features, Problem, SentBody
from serving.questions import Asked

MOST_IDS = 1000
ATTRIBUTES = GivenAttributes._fields
ONLY_NEXT = "Input is only for loan `next`"

LoanWord = Annotated[
    LoanAsked, WithJsonSchema({"type": "string", "enum": [word.value for word in LoanAsked]})
]


class LoanQuestion(SentBody):
    """What a question about one customer and one about many have in common."""

    loan: LoanWord = Field(
        LoanAsked.NEWEST,
        description="`newest`: the newest loan that is published; `next`: the one being applied for",
    )
    as_of: Day | None = Field(
        None,
        description="the day of the `next` loan, not before the snapshot's; today if left out",
        examples=["2021-01-15"],
    )

    def refuse_day_of_newest(self) -> None:
        """Return if no day is given for the newest loan, which has one.

        Raises:
            QuestionRefused: there is one.
        """
        if self.loan is LoanAsked.NEWEST and self.as_of is not None:
            raise QuestionRefused(("as_of", self.as_of, ONLY_NEXT))


class Question(LoanQuestion):
    """A request for a decision.

    ``birthday``, ``job_start_date`` and ``flag_own_car`` go together, and are for a customer whom the published
    snapshot does not know.
    """

    id: CustomerId
    birthday: Day | None = Field(None, description="of a new customer", examples=["1990-05-17"])
    job_start_date: Day | None = Field(
        None, description="of a new customer; null without a present job", examples=["2015-03-01"]
    )
    flag_own_car: Annotated[int, Strict(), Field(ge=0, le=1)] | None = Field(
        None, description="of a new customer: 1 for a car of their own", examples=[0]
    )
    explain: bool = Field(False, description="whether to give reasons")

    def asked(self) -> Asked:
        """The question.

        Raises:
            QuestionRefused: fields are there that do not go with one another, or one of several is missing.
        """
        if len(self.model_fields_set) == 1:  # the id: by far the most
            return Asked(self.id)
        self.refuse_day_of_newest()
        about_customer = {name: getattr(self, name) for name in ATTRIBUTES if name in self.model_fields_set}
        if not about_customer:
            return Asked(self.id, self.loan, self.as_of)
        if self.loan is LoanAsked.NEWEST:
            raise QuestionRefused(*((name, value, ONLY_NEXT) for name, value in about_customer.items()))
        missing = [name for name in ATTRIBUTES if name not in about_customer]
        empty = [name for name in ("birthday", "flag_own_car") if about_customer.get(name, 0) is None]
        if missing or empty:
            raise QuestionRefused(
                *((name, None, f"Field required with {', '.join(about_customer)}") for name in missing),
                *((name, None, "Input should not be null") for name in empty),
            )
        return Asked(self.id, self.loan, self.as_of, GivenAttributes(**about_customer))


class BatchQuestion(LoanQuestion):
    """A request for decisions on the same question about several customers."""

    ids: list[CustomerId] = Field(min_length=1, max_length=MOST_IDS, examples=[[5008827, 5008828]])


class FirstClientsQuestion(SentBody):
    """A request for a decision as the first clients send it."""

    id: CustomerIdOrText


QUESTIONS: dict[str, dict[str, object]] = {
    "the newest loan": {"id": 5008827},
    "the loan being applied for today": {"id": 5008827, "loan": "next"},
    "with reasons": {"id": 5008827, "explain": True},
    "a new customer": {
        "id": 9000001,
        "loan": "next",
        "birthday": "1990-05-17",
        "job_start_date": "2015-03-01",
        "flag_own_car": 0,
        "explain": True,
    },
}
BATCH_QUESTIONS: dict[str, dict[str, object]] = {
    "the newest loans": {"ids": [5008827, 9000001]},
    "the loans being applied for today": {"ids": [5008827, 9000001], "loan": "next"},
}
"""Examples for the documentation."""


class UsualValue(AnswerBody):
    """What a feature usually is, among the rows that the model version is compared with."""

    value: float | None = Field(description="the median; null where the feature is usually missing")
    low: float | None = Field(description="the tenth percentile")
    high: float | None = Field(description="the ninetieth")


class Reason(AnswerBody):
    """Something that raises the probability, and without which it would be lower."""

    code: str = Field(examples=["R01_AGE"])
    feature: str = Field(examples=["age"])
    sentence: str = Field(examples=["The applicant is younger than is usual."])
    value: float | None = Field(description="of the feature", examples=[21])
    usual: UsualValue
    contribution: float = Field(
        description="the Shapley value: those of all features add up to the probability less the mean one of "
        "the rows that it is compared with",
        examples=[0.0042],
    )
    probability_with_usual_value: float = Field(
        description="with this feature alone at its usual value", examples=[0.0081]
    )


class Decision(AnswerBody):
    """The decision on a customer, and all that it rests on."""

    decision_id: str = Field(examples=["019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e"])
    id: CustomerId
    customer: Literal["known", "new"] = Field(
        description="new: decided on what the request said, not on published features"
    )
    loan: LoanWord
    as_of: date | None = Field(description="the day of the `next` loan; null for the newest")
    decision: Literal[0, 1] = Field(description="1: predicted to be late, which is declined", examples=[0])
    probability: float = Field(ge=0, le=1, description="of being late", examples=[0.0123])
    threshold: float = Field(description="a probability from here up is declined", examples=[0.0301])
    features: Features
    reasons: list[Reason] | None = Field(
        description="up to four, the weightiest first; null where they were not asked for"
    )
    snapshot: str = Field(examples=["2020-12-31-ab12cd34ef56"])
    model_version: str = Field(examples=["2020-12-31-0123456789"])


def decision_body(decided: DecisionRecord) -> dict[str, Any]:
    """A record as a :class:`Decision`."""
    return {
        "decision_id": decided.decision_id,
        "id": decided.customer,
        "customer": "known" if decided.given is None else "new",
        "loan": decided.loan,
        "as_of": decided.as_of,
        "decision": decided.decision,
        "probability": decided.probability,
        "threshold": decided.threshold,
        "features": dict(zip(FEATURE_NAMES, decided.features, strict=True)),
        "reasons": decided.reasons,
        "snapshot": decided.snapshot,
        "model_version": decided.model_version,
    }


class RefusedId(AnswerBody):
    """A customer of a batch on whom nothing was decided."""

    id: CustomerId
    error: str = Field(examples=["customer_unknown"])
    message: str
    problems: list[Problem]


class Decisions(AnswerBody):
    """The decisions on a batch, in the order of its ids."""

    decisions: list[Decision | RefusedId]
