"""A question's features and the released versions: the decision and its record. Nothing of HTTP."""

import time
from datetime import UTC, datetime

import uuid_utils

from creditrisk.decisions import DecisionRecord
from creditrisk.online_reader import OnlineReader
from serving.arms import score
from serving.model_watch import ModelWatch
from serving.questions import Looked, newest_loan


class Predictor:
    """Decides, with the versions that serve at the moment."""

    def __init__(self, reader: OnlineReader, models: ModelWatch) -> None:
        self.reader = reader
        self.models = models

    async def decide(self, customer: int, *, key_name: str | None = None) -> DecisionRecord:
        """The decision on a customer's newest loan.

        Raises:
            CustomerUnknown: the published snapshot has no such customer.
            NothingReleased, VersionUnservable: there is no model to decide with.
            NothingPublished, StoreUnavailable: there are no features to decide on.
        """
        started = time.perf_counter_ns()
        self.models.serving()  # nothing is looked up where nothing can decide
        return self._decided(await newest_loan(self.reader, customer), started, key_name)

    def _decided(self, looked: Looked, started: int, key_name: str | None) -> DecisionRecord:
        scored = score(self.models.serving(), looked.customer, looked.features)
        return DecisionRecord(
            decision_id=str(uuid_utils.uuid7()),
            decided_at=datetime.now(UTC),
            customer=looked.customer,
            loan=looked.loan,
            as_of=looked.as_of,
            given=looked.given,
            snapshot=looked.snapshot,
            features=looked.features,
            release=scored.release,
            champion=scored.champion,
            model_version=scored.model_version,
            arm=scored.arm,
            probability=scored.probability,
            threshold=scored.threshold,
            decision=scored.decision,
            paired=scored.paired,
            reasons=None,
            latency_microseconds=(time.perf_counter_ns() - started) // 1000,
            key_name=key_name,
        )
