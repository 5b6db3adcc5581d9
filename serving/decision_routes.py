"""What clients ask: each route reads its question, makes one call, writes its answer."""

from fastapi import APIRouter, Request, Response

from creditrisk.api_keys import Scope
from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord
from serving.bodies import CustomerFeatures, CustomerIdOrText
from serving.decision_bodies import (
    BATCH_QUESTIONS,
    QUESTIONS,
    BatchQuestion,
    Decision,
    Decisions,
    FirstClientsQuestion,
    Question,
    decision_body,
)
from serving.http import DirectRoute, GuardedRoute, answer, charge, documented, key_name, note, read
from serving.predictor import Predictor
from serving.questions import Asked
from serving.refusals import refused_id


def decision_routes(predictor: Predictor, body_limit: int, batch_body_limit: int) -> APIRouter:
    """What clients ask.

    Args:
        predictor: decides.
        body_limit: the most bytes a request's body may have.
        batch_body_limit: the same of a batch's.
    """
    routes = APIRouter(tags=["decisions"], route_class=GuardedRoute)

    asked = APIRouter(route_class=DirectRoute)

    @asked.post(
        "/predict",
        **documented(
            Decision, 404, 408, 413, 422, 503, scope=Scope.PREDICT, sent=Question, examples=QUESTIONS
        ),
    )
    async def predict(request: Request) -> Response:
        """The decision on a customer's newest loan or on the one being applied for, and all that it rests on."""
        question = await read(request, Question, body_limit)
        decided = await predictor.decide(
            question.asked(), explain=question.explain, key_name=key_name(request)
        )
        note(request, (decided,))
        return answer(decision_body(decided))

    @asked.post(
        "/predict/batch",
        **documented(
            Decisions, 408, 413, 422, 503, scope=Scope.PREDICT, sent=BatchQuestion, examples=BATCH_QUESTIONS
        ),
    )
    async def predict_batch(request: Request) -> Response:
        """The decisions on up to 1,000 customers, in the order of their ids; an error in place of one."""
        question = await read(request, BatchQuestion, batch_body_limit)
        question.refuse_day_of_newest()
        charge(request, len(question.ids))
        decided = await predictor.decide_many(
            question.ids, question.loan, question.as_of, key_name=key_name(request)
        )
        note(request, [one for one in decided if isinstance(one, DecisionRecord)])
        return answer(
            {
                "decisions": [
                    decision_body(one) if isinstance(one, DecisionRecord) else refused_id(customer, one)
                    for customer, one in zip(question.ids, decided, strict=True)
                ]
            }
        )

    @asked.post(
        "/", **documented(int, 404, 408, 413, 422, 503, scope=Scope.PREDICT, sent=FirstClientsQuestion)
    )
    async def predict_for_first_clients(request: Request) -> Response:
        """The decision alone, `0` or `1`: the call that the first clients were written for."""
        question = await read(request, FirstClientsQuestion, body_limit)
        decided = await predictor.decide(Asked(question.id), key_name=key_name(request))
        note(request, (decided,))
        return answer(decided.decision, headers={"X-Decision-Id": decided.decision_id})

    routes.include_router(asked)

    @routes.get("/features/{customer}", **documented(CustomerFeatures, 404, 422, 503, scope=Scope.READ))
    async def features(customer: CustomerIdOrText) -> Response:
        """The published features of a customer."""
        found = await predictor.reader.customer(customer)
        return answer(
            {
                "id": found.customer,
                "snapshot": found.snapshot,
                "newest_loan": found.newest_loan,
                "newest_loan_date": found.history.newest_loan_date,
                "features": dict(zip(FEATURE_NAMES, found.features, strict=True)),
            }
        )

    return routes
