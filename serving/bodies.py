"""What a client sends and gets, as JSON."""

import json
import re
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema, create_model
from pydantic_core import PydanticCustomError

from creditrisk.contract import FEATURES, Feature
from creditrisk.release import ReleaseAction
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


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day_of(text: object) -> date:
    """A day; pydantic alone also takes a number of seconds, written as text."""
    if isinstance(text, str) and _DAY.fullmatch(text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    raise PydanticCustomError("day", "Input should be a day that exists in the form YYYY-MM-DD")


Day = Annotated[date, BeforeValidator(_day_of, json_schema_input_type=str)]


class SentBody(BaseModel):
    """Strict: a field that is not known is an error, and so is a number sent as text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Sent = TypeVar("Sent", bound=SentBody)


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


class AnswerBody(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True)


def _field(feature: Feature) -> tuple[Any, Any]:
    kind: Any = int if feature.type == "int" else float
    return (kind | None if feature.nullable else kind, Field(description=feature.meaning))


if TYPE_CHECKING:
    Features = BaseModel
else:
    Features = create_model(
        "Features",
        __base__=AnswerBody,
        __doc__="The model's inputs, in its order.",
        **{feature.name: _field(feature) for feature in FEATURES},
    )


class CustomerFeatures(AnswerBody):
    """What is published of a customer."""

    id: CustomerId
    snapshot: str = Field(examples=["2020-12-31-ab12cd34ef56"])
    newest_loan: int = Field(description="the loan that the features are those of")
    newest_loan_date: date
    features: Features


class Challenging(AnswerBody):
    """The version that challenges the one that serves."""

    version: str = Field(examples=["2021-01-31-0123456789"])
    share: float = Field(ge=0, le=1, description="of customers whom it decides on; at 0 it only scores")
    is_scored: bool = Field(description="whether this process scores with it")
    threshold: float | None = Field(description="None until it is loaded")
    problem: str | None = Field(description="why it is not scored")


class ServedVersion(AnswerBody):
    """What serves, since when, and by which code."""

    version: str = Field(examples=["2020-12-31-0123456789"])
    release: int = Field(description="number of the release record")
    released_at: datetime
    since: datetime = Field(description="when this process began to serve the version")
    threshold: float
    training_snapshot: str
    contract_fingerprint: str
    challenger: Challenging | None = Field(
        description="the version that is compared with it, if there is one"
    )
    code_version: str = Field(description="of the service")
    image: str | None = Field(description="of the service, where it runs from one")
    openapi_sha256: str = Field(description="changes when this interface does")
    problem: str | None = Field(
        description="why a newer version is not served, why the challenger is not scored, or why the release"
        " records cannot be read"
    )


class ReleaseThen(AnswerBody):
    """The release that was in force at a moment; workers take one up within five seconds."""

    at: datetime = Field(description="the moment asked for")
    version: str = Field(description="the champion", examples=["2020-12-31-0123456789"])
    challenger: str | None
    share: float = Field(description="of customers whom the challenger decided on")
    release: int = Field(description="number of the release record")
    action: ReleaseAction
    released_at: datetime
    by: str
    reason: str


class Alive(AnswerBody):
    """The process answers."""

    status: Literal["live"] = "live"


class PartHealth(AnswerBody):
    """One thing that an answer needs."""

    ok: bool
    serving: str | None = Field(description="version or snapshot in use, or where decisions are logged")
    problem: str | None


class Readiness(AnswerBody):
    """Whether decisions can be given; ``missing`` names what keeps them from it."""

    status: Literal["ready", "not ready"]
    missing: list[Literal["model", "store", "log", "keys"]]
    model: PartHealth
    store: PartHealth
    log: PartHealth
    keys: PartHealth


class Problem(AnswerBody):
    """What is wrong with one field of a request."""

    field: str = Field(examples=["id"])
    value: Any = Field(examples=["five"])
    rule: str = Field(examples=["Input should be a valid integer"])


class Refusal(AnswerBody):
    """Every error looks like this."""

    error: str = Field(description="a word for programs", examples=["customer_unknown"])
    message: str = Field(description="a sentence for people")
    problems: list[Problem] = Field(default_factory=list, description="of the request's fields")
