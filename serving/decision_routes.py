"""What clients ask: each route reads its question, makes one call, writes its answer."""

from fastapi import APIRouter, Request, Response

from creditrisk.contract import FEATURE_NAMES
from serving.bodies import CustomerFeatures, CustomerIdOrText, Decision, FirstClientsQuestion, Question
from serving.http import DirectRoute, answer, documented, read
from serving.predictor import Predictor


def decision_routes(predictor: Predictor, body_limit: int) -> APIRouter:
    """What clients ask.

    Args:
        predictor: decides.
        body_limit: the most bytes a request's body may have.
    """
    routes = APIRouter(tags=["decisions"])

    asked = APIRouter(route_class=DirectRoute)

    @asked.post("/predict", **documented(Decision, 404, 408, 413, 422, 503, sent=Question))
    async def predict(request: Request) -> Response:
        """The decision on a customer's newest loan, and all that it rests on."""
        question = await read(request, Question, body_limit)
        decided = await predictor.decide(question.id)
        return answer(
            {
                "decision_id": decided.decision_id,
                "id": decided.customer,
                "decision": decided.decision,
                "probability": decided.probability,
                "threshold": decided.threshold,
                "features": dict(zip(FEATURE_NAMES, decided.features, strict=True)),
                "snapshot": decided.snapshot,
                "model_version": decided.model_version,
            }
        )

    @asked.post("/", **documented(int, 404, 408, 413, 422, 503, sent=FirstClientsQuestion))
    async def predict_for_first_clients(request: Request) -> Response:
        """The decision alone, `0` or `1`: the call that the first clients were written for."""
        question = await read(request, FirstClientsQuestion, body_limit)
        decided = await predictor.decide(question.id)
        return answer(decided.decision)

    routes.include_router(asked)

    @routes.get("/features/{customer}", **documented(CustomerFeatures, 404, 422, 503))
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
