"""Versions to score with once more, whether they still serve or not: flattened, and by their own code."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from creditrisk.errors import VersionMissing
from creditrisk.features import FeatureRow
from creditrisk.reasons import Explainer
from creditrisk.registry import ModelRegistry
from creditrisk.removals import Kind, removal_of
from creditrisk.scoring import FlatModel, flatten
from creditrisk.storage import Storage


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version, verified and loaded."""

    threshold: float
    flat: FlatModel
    """As the service scores."""
    explainer: Explainer
    model: Any
    """The fitted scikit-learn classifier."""

    def own(self, features: FeatureRow) -> float:
        """Probability of class 1 by the model's own ``predict_proba``."""
        row = np.array([features], dtype=np.float64)  # None becomes NaN
        return float(self.model.predict_proba(row)[0, 1])


class PastVersions:
    """A registry's versions, each loaded once."""

    def __init__(self, registry: Storage) -> None:
        self._registry = registry
        self._loaded: dict[str, PastVersion] = {}

    def load(self, version: str) -> PastVersion:
        """A version.

        Raises:
            VersionMissing: there is none; the message says so if retention removed it.
            RegistryError: it is damaged, refused, made for another contract or by other libraries, or not a
                model that the service scores.
        """
        if version not in self._loaded:
            self._loaded[version] = self._load(version)
        return self._loaded[version]

    def _load(self, version: str) -> PastVersion:
        try:
            loaded = ModelRegistry(self._registry).load(version)
        except VersionMissing:
            removal = removal_of(self._registry, Kind.VERSION, version)
            if removal is None:
                raise
            raise VersionMissing(f"version {version}: {removal.sentence}") from None
        flat = flatten(loaded.model)
        return PastVersion(
            loaded.manifest.threshold, flat, Explainer(flat, loaded.reference_rows), loaded.model
        )
