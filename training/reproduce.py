"""Make a version again: ``python -m training.reproduce <version>``.

From the registry alone: the version's own copy of its training set is fitted with its own spec, and the hash of
the new predictions is held against the one that was recorded.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from creditrisk.errors import CreditRiskError
from creditrisk.provenance import code_version, library_versions
from creditrisk.registry import TRAINING_SET_FILE, ModelRegistry, require_same_libraries
from creditrisk.settings import Settings, load_settings
from creditrisk.storage import Storage
from training.dataset import decode_training_set
from training.evaluation import prediction_hash
from training.fitting import fit_deciding_model
from training.specs import validated_spec
from training.split import Side


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What was recorded, and what came out this time."""

    version: str
    recorded_hash: str
    prediction_hash: str
    recorded_threshold: float
    threshold: float
    changed_since: tuple[str, ...]
    """Code and libraries that are not those of the version's training, in words; they may explain a difference."""

    @property
    def is_same(self) -> bool:
        """Whether predictions and threshold are the recorded ones, bit for bit."""
        return self.prediction_hash == self.recorded_hash and self.threshold == self.recorded_threshold


def reproduce(settings: Settings, version: str) -> Reproduction:
    """Fit a registered version again, accepted or refused.

    Raises:
        VersionMissing: there is no such version.
        VersionDamaged: its training set is not the one that was registered.
        LibraryMismatch: it was made with another scikit-learn, numpy or joblib.
    """
    registry = ModelRegistry(Storage(settings.registry_root))
    manifest = registry.manifest(version)
    require_same_libraries(manifest)
    training_set = decode_training_set(registry.verified_file(manifest, TRAINING_SET_FILE))
    parts = {Side(side): loans for side, loans in training_set.items()}
    deciding = fit_deciding_model(validated_spec(manifest.spec), parts, manifest.decline_share)
    then = {"code": manifest.code_version, **manifest.library_versions}
    now = {"code": code_version(), **library_versions(manifest.library_versions)}
    return Reproduction(
        version=version,
        recorded_hash=manifest.prediction_hash,
        prediction_hash=prediction_hash(deciding.probabilities(parts[Side.TEST])),
        recorded_threshold=manifest.threshold,
        threshold=deciding.threshold,
        changed_since=tuple(
            f"{name} {there} there, {now.get(name, 'none')} here"
            for name, there in then.items()
            if now.get(name) != there
        ),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print *same* or what differs; exit code 1 where it differs or cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m training.reproduce", description="Make a version again.")
    parser.add_argument("version")
    arguments = parser.parse_args(argv)
    try:
        found = reproduce(load_settings(), arguments.version)
    except CreditRiskError as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    for change in found.changed_since:
        print(f"note: {change}", file=sys.stderr)
    if found.is_same:
        print(f"same: {found.version} has prediction hash {found.prediction_hash}")
        return 0
    print(
        f"differs: {found.version}: prediction hash {found.prediction_hash}, recorded {found.recorded_hash};"
        f" threshold {found.threshold!r}, recorded {found.recorded_threshold!r}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
