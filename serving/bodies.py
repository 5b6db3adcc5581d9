"""What a client sends and gets, as JSON."""

import json
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema, create_model

from creditrisk.contract import FEATURES, Feature
from serving.refusals import FieldRepeated

LARGEST_ID = 2**63 - 1
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}")


def _number_of(text: object) -> object:
    """A whole number written as text; anything else goes on to be refused as it is."""
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else text


CustomerId = Annotated[
    int, Strict(), Field(ge=-LARGEST_ID - 1, le=LARGEST_ID, description="the customer", examples=[5008827])
]
CustomerIdOrText = Annotated[
    CustomerId,
    BeforeValidator(_number_of),
    WithJsonSchema(
        {
            "description": "the customer, as a whole number or as its digits",
            "anyOf": [{"type": "integer"}, {"type": "string", "pattern": f"^{_DIGITS.pattern}$"}],
            "examples": ["5008827"],
        }
    ),
]


class _Sent(BaseModel):
    """Strict: a field that is not known is an error, and so is a number sent as text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Question(_Sent):
    """A request for a decision."""

    id: CustomerId


class FirstClientsQuestion(_Sent):
    """A request for a decision as the first clients send it."""

    id: CustomerIdOrText


Sent = TypeVar("Sent", bound=_Sent)


def parsed(kind: type[Sent], body: bytes) -> Sent:
    """What a client sent, from JSON.

    Raises:
        ValidationError: a field is missing, unknown or not what it must be, or all of it is not JSON.
        FieldRepeated: a field is there twice. Pydantic takes the last: whose loan would it be?
    """
    sent = kind.model_validate_json(body)
    _FIELDS.decode(body.decode())
    return sent


def _each_once(fields: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in fields:
        if name in seen:
            raise FieldRepeated(name)
        seen.add(name)


_FIELDS = json.JSONDecoder(object_pairs_hook=_each_once)


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)


def _field(feature: Feature) -> tuple[Any, Any]:
    kind: Any = int if feature.type == "int" else float
    return (kind | None if feature.nullable else kind, Field(description=feature.meaning))


if TYPE_CHECKING:
    Features = BaseModel
else:
    Features = create_model(
        "Features",
        __base__=_Answered,
        __doc__="The model's inputs, in its order.",
        **{feature.name: _field(feature) for feature in FEATURES},
    )


class Decision(_Answered):
    """The decision on a customer, and all that it rests on."""

    decision_id: str = Field(examples=["019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e"])
    id: CustomerId
    decision: Literal[0, 1] = Field(description="1: predicted to be late, which is declined", examples=[0])
    probability: float = Field(ge=0, le=1, description="of being late", examples=[0.0123])
    threshold: float = Field(description="a probability from here up is declined", examples=[0.0301])
    features: Features
    snapshot: str = Field(examples=["2020-12-31-ab12cd34ef56"])
    model_version: str = Field(examples=["2020-12-31-0123456789"])


class CustomerFeatures(_Answered):
    """What is published of a customer."""

    id: CustomerId
    snapshot: str = Field(examples=["2020-12-31-ab12cd34ef56"])
    newest_loan: int = Field(description="the loan that the features are those of")
    newest_loan_date: date
    features: Features


class ServedVersion(_Answered):
    """What serves, since when, and by which code."""

    version: str = Field(examples=["2020-12-31-0123456789"])
    release: int = Field(description="number of the release record")
    released_at: datetime
    since: datetime = Field(description="when this process began to serve the version")
    threshold: float
    training_snapshot: str
    contract_fingerprint: str
    code_version: str = Field(description="of the service")
    image: str | None = Field(description="of the service, where it runs from one")
    openapi_sha256: str = Field(description="changes when this interface does")
    problem: str | None = Field(description="why a newer version is not served")


class Alive(_Answered):
    """The process answers."""

    status: Literal["live"] = "live"


class PartHealth(_Answered):
    """One thing that an answer needs."""

    ok: bool
    serving: str | None = Field(description="version or snapshot in use")
    problem: str | None


class Readiness(_Answered):
    """Whether decisions can be given; ``missing`` names what keeps them from it."""

    status: Literal["ready", "not ready"]
    missing: list[Literal["model", "store"]]
    model: PartHealth
    store: PartHealth


class Problem(_Answered):
    """What is wrong with one field of a request."""

    field: str = Field(examples=["id"])
    value: Any = Field(examples=["five"])
    rule: str = Field(examples=["Input should be a valid integer"])


class Refusal(_Answered):
    """Every error looks like this."""

    error: str = Field(description="a word for programs", examples=["customer_unknown"])
    message: str = Field(description="a sentence for people")
    problems: list[Problem] = Field(default_factory=list, description="of the request's fields")
