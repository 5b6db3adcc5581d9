"""Which version serves: follows the release records, and swaps a new version in while the old one answers.

Once a second it asks whether the next record exists. A new champion is loaded, checked and warmed in a thread
beside the one that serves, and takes over in one assignment. One that cannot be loaded changes nothing: the
old one goes on, the reason shows in health, and it is tried again at growing intervals.
"""

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from creditrisk.errors import CreditRiskError, NothingReleased, VersionUnservable
from creditrisk.registry import ModelManifest, ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.scoring import FlatModel, flatten, verify

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version that is ready to score."""

    manifest: ModelManifest
    flat: FlatModel


@dataclass(frozen=True, slots=True)
class ServedModel(LoadedVersion):
    """The version that serves, by which record, and since when in this process."""

    record: ReleaseRecord
    since: datetime


def load_version(registry: ModelRegistry, version: str) -> LoadedVersion:
    """Load a version, and prove that it scores as its own model does; scoring the reference rows warms it.

    Raises:
        RegistryError: it is missing, damaged, refused, made for something else, or scores differently.
    """
    loaded = registry.load(version)
    flat = flatten(loaded.model)
    rows, threshold = loaded.reference_rows, loaded.manifest.threshold
    verify(flat, rows, loaded.reference_probabilities, threshold)
    verify(flat, rows, loaded.model.predict_proba(rows)[:, 1], threshold)
    manifest = loaded.manifest
    del loaded
    gc.collect()
    gc.freeze()  # what is left stays: the collector need not walk it again while requests wait
    return LoadedVersion(manifest, flat)


class ModelWatch:
    """The model that serves now, kept up to date by :meth:`run`."""

    def __init__(self, ledger: ReleaseLedger, load: Callable[[str], LoadedVersion]) -> None:
        """Nothing is read yet.

        Args:
            ledger: the release records.
            load: loads a version, in a thread.
        """
        self._ledger = ledger
        self._load = load
        self._record: ReleaseRecord | None = None
        self._has_looked = False
        self._model: ServedModel | None = None
        self._loading: asyncio.Task[None] | None = None
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
        """Why the newest record's version does not serve, or why the records cannot be read."""
        return self._load_problem or self._ledger_problem

    async def run(self) -> None:
        """Follow the release records until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            if self._loading:
                self._loading.cancel()

    async def _look(self) -> None:
        try:
            newer = await asyncio.to_thread(self._newer_record)
        except Exception as error:  # noqa: BLE001  whatever storage raises, what serves goes on serving
            problem = f"release records: cannot be read: {_words(error)}"
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
        if self._loading:
            self._loading.cancel()  # its thread runs to its end, and nobody takes the result
            self._loading = None
        self._load_problem = None
        if self._model and self._model.manifest.version == record.champion:
            self._model = replace(self._model, record=record)
            return
        self._loading = asyncio.create_task(self._load_until_it_serves(record))

    async def _load_until_it_serves(self, record: ReleaseRecord) -> None:
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                loaded = await asyncio.to_thread(self._load, record.champion)
            except Exception as error:  # noqa: BLE001  a file may hold anything; the old version must go on
                self._load_problem = f"model {record.champion}: not served: {_words(error)}"
                logger.error("release %d: %s", record.number, self._load_problem)
            else:
                break
            await asyncio.sleep(wait)
            wait = min(2 * wait, LAST_RETRY_SECONDS)
        self._load_problem = None
        self._model = ServedModel(loaded.manifest, loaded.flat, record, since=datetime.now(UTC))
        logger.info("release %d: model %s serves", record.number, record.champion)


def _words(error: Exception) -> str:
    """One line for an operator: our own errors speak for themselves, others are named."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, CreditRiskError) else f"{type(error).__name__}: {line}"
