"""What a model version's decisions are compared with: the loans that it was judged on, from its own training set."""

import io
import logging
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES
from creditrisk.errors import RegistryError
from creditrisk.registry import JUDGED_SIDE, TRAINING_SET_FILE, ModelManifest, ModelRegistry
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from monitoring.fill_up import load_scorer
from monitoring.histograms import FloatArray, Histogram, feature_grid, probability_grid

logger = logging.getLogger(__name__)

_COLUMNS = ("id", "side", *FEATURE_NAMES)


@dataclass(frozen=True)
class Reference:
    """One version's."""

    manifest: ModelManifest
    rows: FloatArray
    """Features of the loans to compare with: shape (n, 5), NaN where a value is missing."""
    customers: npt.NDArray[np.int64]
    """Everybody in the training set, ascending."""
    probabilities: FloatArray | None
    """The version's own, of ``rows``; None where it cannot be loaded."""
    unscored_because: str | None

    @cached_property
    def features(self) -> dict[str, Histogram]:
        """The distribution of each feature."""
        return {
            name: Histogram.of(feature_grid(name), self.rows[:, number])
            for number, name in enumerate(FEATURE_NAMES)
        }

    @cached_property
    def scores(self) -> Histogram | None:
        """The distribution of the probability."""
        if self.probabilities is None:
            return None
        return Histogram.of(probability_grid(), self.probabilities)

    @cached_property
    def approval_rate(self) -> float | None:
        """The share of ``rows`` that the version approves."""
        if self.probabilities is None or not len(self.probabilities):
            return None
        return float(np.mean(self.probabilities < self.manifest.threshold))


@dataclass
class References:
    """The references of one market's versions, each read once."""

    settings: Settings
    _known: dict[str, Reference | str] = field(default_factory=dict)

    def of(self, version: str) -> Reference | str:
        """A version's reference, or in words why there is none.

        Raises:
            StorageError: the registry cannot be read now.
        """
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def _read(self, version: str) -> Reference | str:
        registry = ModelRegistry(Storage(self.settings.registry_root))
        try:
            manifest = registry.manifest(version)
            content = registry.verified_file(manifest, TRAINING_SET_FILE)
        except RegistryError as error:
            return str(error)
        rows, customers = _judged(content, each_loan=self.settings.monitoring.reference == "loans")
        try:
            probabilities, why = load_scorer(registry, version).flat.probabilities(rows), None
        except RegistryError as error:
            logger.warning("Scores of %s are not compared: %s", version, error)
            probabilities, why = None, str(error)
        return Reference(manifest, rows, customers, probabilities, why)


def _judged(content: bytes, *, each_loan: bool) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Features of the loans that the version was judged on, and all customers of its training set.

    Of each customer the newest loan, which is the one with the most before it; or each of them.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(io.BytesIO(content)) as file:
        table = file.read(columns=list(_COLUMNS))
    customers = table.column("id").to_numpy()
    judged = table.column("side").to_numpy() == JUDGED_SIDE
    rows = np.column_stack([table.column(name).to_numpy() for name in FEATURE_NAMES]).astype(float)[judged]
    if each_loan:
        return rows, np.unique(customers)
    whose = customers[judged]
    newest_last = np.lexsort((rows[:, FEATURE_NAMES.index("nb_previous_loans")], whose))
    last = np.flatnonzero(np.diff(whose[newest_last], append=-1))
    return rows[newest_last[last]], np.unique(customers)
