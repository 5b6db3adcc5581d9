"""Loading a version so that it can be trusted to score: as its own model does, and as fast as it must."""

import gc
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from creditrisk.errors import VersionUnservable
from creditrisk.reasons import Explainer
from creditrisk.registry import ModelManifest, ModelRegistry
from creditrisk.scoring import FlatModel, flatten, verify

TIMED_ROWS, TIMED_ROUNDS = 100, 5
"""Reference rows whose scoring is timed, and how often each: the fastest counts, for a busy machine slows some."""

FIRST_ROWS = 5
"""Rows after which a version that is far too slow is refused, so that it does not keep the processor long."""


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version that is ready to score."""

    manifest: ModelManifest
    flat: FlatModel
    explainer: Explainer


def load_version(
    registry: ModelRegistry, version: str, *, microseconds_limit: float | None = None
) -> LoadedVersion:
    """Load a version, and prove that it scores as its own model does; scoring and explaining warm it.

    Args:
        registry: where it is.
        version: which one.
        microseconds_limit: what scoring a row may take; None where it may take what it takes.

    Raises:
        RegistryError: it is missing, damaged, refused, made for something else, scores differently, or too
            slowly.
    """
    loaded = registry.load(version)
    flat = flatten(loaded.model)
    rows, threshold = loaded.reference_rows, loaded.manifest.threshold
    if microseconds_limit is not None:
        require_fast(
            flat, rows, microseconds_limit
        )  # before the proof, which a slow one would take minutes for
    verify(flat, rows, loaded.reference_probabilities, threshold)
    verify(flat, rows, loaded.model.predict_proba(rows)[:, 1], threshold)
    manifest, explainer = loaded.manifest, Explainer(flat, rows)
    explainer.weigh(rows[0], flat.probability(rows[0]))
    del loaded
    gc.collect()
    gc.freeze()  # what is left stays: the collector need not walk it again while requests wait
    return LoadedVersion(manifest, flat, explainer)


def require_fast(flat: FlatModel, reference_rows: npt.ArrayLike, microseconds_limit: float) -> None:
    """Return if the median reference row is scored within a limit, alone.

    Raises:
        VersionUnservable: it is not.
    """
    rows = np.asarray(reference_rows, dtype=np.float64)
    rows = rows[:: max(1, len(rows) // TIMED_ROWS)]
    if not len(rows):
        return  # nothing to time, and nothing to prove it by: the proof refuses it
    microseconds = _microseconds(flat, rows[:FIRST_ROWS], rounds=1)
    if microseconds.min() <= 10 * microseconds_limit:
        microseconds = _microseconds(flat, rows, TIMED_ROUNDS)
    median = float(np.median(microseconds))
    if median > microseconds_limit:
        raise VersionUnservable(
            f"model: scoring a reference row takes {median:.0f} µs, over the limit of {microseconds_limit:g} µs"
        )


def _microseconds(flat: FlatModel, rows: npt.NDArray[np.float64], rounds: int) -> npt.NDArray[np.float64]:
    """The fastest of some scorings of each row."""
    fastest = np.full(len(rows), np.inf)
    for _ in range(rounds):
        for place, row in enumerate(rows):
            began = time.perf_counter_ns()
            flat.probability(row)
            fastest[place] = min(fastest[place], (time.perf_counter_ns() - began) / 1000)
    return fastest
