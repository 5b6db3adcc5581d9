"""Which versions serve: follows the release records, and swaps a new version in while the old one answers.

Once a second it asks whether the next record exists. A new champion is loaded, checked and warmed in a thread
beside the one that serves, and takes over in one assignment. One that cannot be loaded changes nothing: the
old one goes on, the reason shows in health, and it is tried again at growing intervals. A challenger is loaded
the same way, after the champion, and is held to a time limit too; when it is promoted, it is there already.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from creditrisk.errors import NothingReleased, VersionUnservable
from creditrisk.reasons import Explainer
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.scoring import FlatModel, FlatPair
from serving.challenger import Challenger, in_words
from serving.loaded_version import LoadedVersion, load_version

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class ServedModel(LoadedVersion):
    """The version that serves, by which record, since when in this process, and who challenges it."""

    record: ReleaseRecord
    since: datetime
    challenger: Challenger | None = None

    def explainer_of(self, version: str) -> Explainer:
        """What gives the reasons of the version that decided."""
        if self.challenger and self.challenger.version == version and self.challenger.loaded:
            return self.challenger.loaded.explainer
        return self.explainer


class ModelWatch:
    """The model that serves now, kept up to date by :meth:`run`."""

    def __init__(self, ledger: ReleaseLedger, registry: ModelRegistry, challenger_limit: float) -> None:
        """Nothing is read yet.

        Args:
            ledger: the release records.
            registry: the versions, which are loaded in a thread.
            challenger_limit: microseconds that a challenger may take to score a row.
        """
        self._ledger = ledger
        self._registry = registry
        self._challenger_limit = challenger_limit
        self._record: ReleaseRecord | None = None
        self._has_looked = False
        self._model: ServedModel | None = None
        self._loading: asyncio.Task[None] | None = None
        self._challenger_loading: asyncio.Task[None] | None = None
        self._load_problem: str | None = None
        self._ledger_problem: str | None = None

    def serving(self) -> ServedModel:
        """The model to answer with.

        Raises:
            NothingReleased: there is no release record.
            VersionUnservable: there is one, but its version is not loaded, or not yet.
        """
        if self._model is not None:
            return self._model
        if self._record is not None:
            raise VersionUnservable(self.problem or f"model {self._record.champion}: still being loaded")
        if self._has_looked:
            raise NothingReleased("no model version has been released yet: promote one first")
        raise VersionUnservable(self.problem or "model: the release records are still being read")

    @property
    def problem(self) -> str | None:
        """Why a version of the newest record does not serve or challenge, or why the records cannot be read."""
        challenger = self._model.challenger if self._model else None
        refused = challenger.problem if challenger and not challenger.has_ended else None
        return self._load_problem or self._ledger_problem or refused

    async def run(self) -> None:
        """Follow the release records until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            _cancel(self._loading)
            _cancel(self._challenger_loading)

    async def _look(self) -> None:
        try:
            newer = await asyncio.to_thread(self._newer_record)
        except Exception as error:  # noqa: BLE001  whatever storage raises, what serves goes on serving
            problem = f"release records: cannot be read: {in_words(error)}"
            if problem != self._ledger_problem:
                logger.warning("%s", problem)
            self._ledger_problem = problem
            return
        self._has_looked, self._ledger_problem = True, None
        if newer is not None:
            self._follow(newer)

    def _newer_record(self) -> ReleaseRecord | None:
        """The newest record, where it is newer than the one followed. Lists the records only at the start."""
        if not self._has_looked:
            return self._ledger.newest()
        known = number = self._record.number if self._record else 0
        while self._ledger.exists(number + 1):
            number += 1
        return self._ledger.read(number) if number > known else None

    def _follow(self, record: ReleaseRecord) -> None:
        self._record = record
        _cancel(self._loading)
        self._loading = self._load_problem = None
        model = self._model
        challenger = model.challenger if model else None
        if model and model.manifest.version == record.champion:
            self._serve(replace(model, record=record))
        elif challenger and challenger.version == record.champion and challenger.loaded:
            self._serve(_served(challenger.loaded, record))
        else:
            if challenger:  # the old champion goes on by the old record, but its challenge has ended
                _cancel(self._challenger_loading)
                challenger.end(record.number)
            self._loading = asyncio.create_task(self._load_champion(record))

    def _serve(self, model: ServedModel) -> None:
        """Answer with a version from now on, and with its record's challenger beside it."""
        record, challenger = model.record, model.challenger
        logger.info("release %d: model %s serves", record.number, record.champion)
        if challenger and challenger.version == record.challenger and not challenger.has_ended:
            self._model = model
            return
        _cancel(self._challenger_loading)
        challenger = Challenger(record.challenger, self._challenger_limit) if record.challenger else None
        self._model = replace(model, challenger=challenger)
        if challenger:
            self._challenger_loading = asyncio.create_task(self._load_challenger(challenger, model.flat))

    async def _load_champion(self, record: ReleaseRecord) -> None:
        def tell(problem: str) -> None:
            self._load_problem = f"model {record.champion}: not served: {problem}"
            logger.error("release %d: %s", record.number, self._load_problem)

        loaded = await self._loaded(record.champion, tell)
        self._load_problem = None
        self._serve(_served(loaded, record))

    async def _load_challenger(self, challenger: Challenger, champion: FlatModel) -> None:
        version, limit = challenger.version, self._challenger_limit
        try:
            # One that is too slow, or differs, would be so again, and loading it is work beside the requests.
            loaded = await self._loaded(version, challenger.refuse, limit, final=VersionUnservable)
            pair = await asyncio.to_thread(FlatPair.of, champion, loaded.flat)
        except VersionUnservable as error:
            challenger.refuse(in_words(error))
        else:
            challenger.admit(loaded, pair)
            logger.info("model %s challenges", version)

    async def _loaded(
        self,
        version: str,
        tell: Callable[[str], None],
        microseconds_limit: float | None = None,
        final: type[Exception] | tuple[()] = (),
    ) -> LoadedVersion:
        """A version, once it can be loaded; until then it is told each time why not.

        Raises:
            Exception: one of the kind after which trying again is no use.
        """
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                return await asyncio.to_thread(
                    load_version, self._registry, version, microseconds_limit=microseconds_limit
                )
            except final:
                raise
            except Exception as error:  # noqa: BLE001  a file may hold anything; what serves must go on
                tell(in_words(error))
            await asyncio.sleep(wait)
            wait = min(2 * wait, LAST_RETRY_SECONDS)


def _served(loaded: LoadedVersion, record: ReleaseRecord) -> ServedModel:
    return ServedModel(loaded.manifest, loaded.flat, loaded.explainer, record, since=datetime.now(UTC))


def _cancel(loading: asyncio.Task[None] | None) -> None:
    if loading:
        loading.cancel()  # its thread runs to its end, and nobody takes the result
