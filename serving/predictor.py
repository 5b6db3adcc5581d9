"""A question's features and the released versions: the decision and its record. Nothing of HTTP."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, tzinfo
from typing import Any, TypeVar

import uuid_utils

from creditrisk.decisions import Arm, DecisionRecord, LoanAsked
from creditrisk.errors import CustomerUnknown, QuestionRefused
from creditrisk.features import FeatureRow
from creditrisk.online_reader import OnlineReader
from serving.arms import Scored, fall_back, score, score_many
from serving.challenger import LONGEST_PROBLEM, in_words
from serving.model_watch import ModelWatch, ServedModel
from serving.questions import Asked, Looked, Questions
from serving.spool import Spool

Answer = TypeVar("Answer")
DecidedOrRefused = DecisionRecord | CustomerUnknown | QuestionRefused

THREADS = 2
"""For reasons and batches: enough that the ones need not wait for the others."""

RECORDS_AT_ONCE = 50
"""Records of a batch that are made before another request may have its turn."""


class Predictor:
    """Decides, with the versions that serve at the moment."""

    def __init__(self, reader: OnlineReader, models: ModelWatch, zone: tzinfo, spool: Spool) -> None:
        """Nothing is read yet.

        Args:
            reader: of the online store.
            models: what serves.
            zone: the market's time zone, which says what day it is.
            spool: where each decision is written before it is given.
        """
        self.reader = reader
        self.models = models
        self._spool = spool
        self._questions = Questions(reader, lambda: datetime.now(zone).date())
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="beside-requests")

    async def decide(
        self, asked: Asked, *, explain: bool = False, key_name: str | None = None
    ) -> DecisionRecord:
        """The decision on one question, with its reasons where they are asked for.

        Raises:
            CustomerUnknown: the published snapshot has no such customer, and nothing was said of one.
            QuestionRefused: a rule of dates, ages or attributes forbids the question.
            NothingReleased, VersionUnservable: there is no model to decide with.
            NothingPublished, StoreUnavailable: there are no features to decide on.
            DecisionLogUnwritable: nothing can be logged, and so nothing is decided.
        """
        started = time.perf_counter_ns()
        self.models.serving()  # nothing is looked up where nothing can decide
        looked = await self._questions.look_up(asked)
        model = self.models.serving()
        scored = score(model, looked.customer, looked.features)
        reasons = None
        if explain:
            scored, reasons = await self._explained(model, looked.features, scored)
        decided = self._recorded(looked, scored, reasons, started, key_name)
        self._spool.append(decided)
        return decided

    async def decide_many(
        self,
        customers: Sequence[int],
        loan: LoanAsked = LoanAsked.NEWEST,
        as_of: date | None = None,
        *,
        key_name: str | None = None,
    ) -> list[DecidedOrRefused]:
        """The decisions on the same question about several customers, in their order.

        One statement looks all of them up, and all are scored at once in a thread. A customer on whom nothing
        can be decided has the error in its place.

        Raises:
            QuestionRefused: the day is before the snapshot's.
            NothingReleased, VersionUnservable: there is no model to decide with.
            NothingPublished, StoreUnavailable: there are no features to decide on.
            DecisionLogUnwritable: nothing can be logged, and so nothing is decided.
        """
        started = time.perf_counter_ns()
        self.models.serving()
        found = await self._questions.look_up_many(customers, loan, as_of)
        known = [looked for looked in found if isinstance(looked, Looked)]
        ids, rows = [looked.customer for looked in known], [looked.features for looked in known]
        scored = iter(await self._in_thread(score_many, self.models.serving(), ids, rows))
        decided: list[DecidedOrRefused] = []
        for looked in found:
            if len(decided) % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if isinstance(looked, Looked):
                decided.append(self._recorded(looked, next(scored), None, started, key_name))
            else:
                decided.append(looked)
        records = [one for one in decided if isinstance(one, DecisionRecord)]
        if records:
            await self._in_thread(self._spool.append_all, records)
        return decided

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _explained(
        self, model: ServedModel, features: FeatureRow, scored: Scored
    ) -> tuple[Scored, list[dict[str, Any]]]:
        """The scores with their reasons; the champion's, where the challenger fails at its own."""
        try:
            explainer = model.explainer_of(scored.model_version)
            return scored, await self._in_thread(explainer.reasons, features, scored.probability)
        except Exception as error:
            if scored.arm is not Arm.CHALLENGER:
                raise
            scored = fall_back(scored, f"its reasons cannot be given: {in_words(error)}"[:LONGEST_PROBLEM])
        return scored, await self._in_thread(model.explainer.reasons, features, scored.probability)

    def _recorded(
        self,
        looked: Looked,
        scored: Scored,
        reasons: list[dict[str, Any]] | None,
        started: int,
        key_name: str | None,
    ) -> DecisionRecord:
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
            reasons=reasons,
            latency_microseconds=(time.perf_counter_ns() - started) // 1000,
            key_name=key_name,
        )

    async def _in_thread(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
