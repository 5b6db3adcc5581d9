"""Make a decision again: ``python -m serving.replay <decision id>``.

From what was kept: the snapshot's row of the customer gives the features, the registry's versions score them,
the release record says who was to decide. It says *same*, or names each thing that differs with both values, or
the comparison that can no longer be made and why. It loads pickles and a Parquet reader, so the service runs it
as a process of its own.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decision_store import decision_of
from creditrisk.decisions import Arm, DecisionRecord, LoanAsked, from_line
from creditrisk.errors import (
    CreditRiskError,
    DecisionUnknown,
    RegistryError,
    ReleaseError,
    SnapshotError,
    StorageError,
)
from creditrisk.features import FeatureRow, features_of_application, features_of_first_application
from creditrisk.past_customers import PastSnapshot, past_customer
from creditrisk.release import arm_of
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.removals import Kind, removal_of
from creditrisk.scoring import TOLERANCE
from creditrisk.settings import Settings, load_settings
from creditrisk.snapshots import SnapshotId
from creditrisk.storage import Storage
from serving.comparison import Comparison, NotCompared
from serving.past_versions import PastVersions

NICE = 10

OWN = "{} by the model's own predict_proba"
"""Compared within a tolerance: it adds the trees up in another order."""


async def replay(settings: Settings, record: DecisionRecord) -> Comparison:
    """Make a decision again and hold it against its record.

    Features come from the snapshot; where they cannot be had, the recorded ones are scored.
    """
    found = Comparison(record)
    features = await _features(settings, found)
    registry = Storage(settings.registry_root)
    _compare_release(ReleaseLedger(registry), found)
    _compare_scores(registry, found, record.features if features is None else features)
    return found


async def _features(settings: Settings, found: Comparison) -> FeatureRow | None:
    """The features as the question asked for them, compared; None where they cannot be had."""
    record = found.record
    try:
        past = await past_customer(
            settings, _database_url(settings), SnapshotId.parse(record.snapshot), record.customer
        )
        features = _derived(record, past)
    except (SnapshotError, StorageError) as error:
        found.not_compared.append(NotCompared("features", str(error)))
        return None
    except ValueError as error:
        found.compare("as_of", str(record.as_of), str(error))
        return None
    found.compare("customer is in the snapshot", record.given is None, past.customer is not None)
    if features is not None:
        for name, recorded, replayed in zip(FEATURE_NAMES, record.features, features, strict=True):
            found.compare(name, recorded, replayed)
    return features


def _derived(record: DecisionRecord, past: PastSnapshot) -> FeatureRow | None:
    """Features by the definition of the question; None where the snapshot does not know the customer.

    Raises:
        ValueError: the record's ``as_of`` is none that the question can have had.
    """
    if record.loan is LoanAsked.NEWEST:
        return past.customer.features if past.customer else None
    if record.as_of is None:
        raise ValueError("a day: the loan being applied for has one")
    if record.given is not None:
        given = record.given
        return features_of_first_application(
            given.birthday, given.job_start_date, given.flag_own_car, record.as_of
        )
    return features_of_application(past.customer.history, record.as_of) if past.customer else None


def _compare_release(ledger: ReleaseLedger, found: Comparison) -> None:
    """Who was to decide, by the release record that was in force."""
    record = found.record
    try:
        release = ledger.read(record.release)
    except (ReleaseError, StorageError) as error:
        found.not_compared.append(NotCompared("release", str(error)))
        return
    paired = record.paired
    found.compare("champion", record.champion, release.champion)
    found.compare("challenger", paired.challenger if paired else None, release.challenger)
    is_challengers = release.challenger is not None and arm_of(
        record.customer, release.challenger, release.share
    )
    arm = Arm.CHAMPION
    if is_challengers:
        arm = Arm.CHALLENGER if paired and paired.challenger_probability is not None else Arm.FALLBACK
    found.compare("arm", str(record.arm), str(arm))
    decides = release.challenger if arm is Arm.CHALLENGER else release.champion
    found.compare("model_version", record.model_version, decides)


def _compare_scores(registry: Storage, found: Comparison, features: FeatureRow) -> None:
    """Probability, threshold, decision and reasons by each version that answered then."""
    record, paired = found.record, found.record.paired
    versions = PastVersions(registry)
    with _noted(found, "probability, threshold, decision"):
        version = versions.load(record.model_version)
        probability = version.flat.probability(features)
        found.compare("probability", record.probability, probability)
        found.compare("threshold", record.threshold, version.threshold)
        found.compare("decision", record.decision, int(probability >= version.threshold))
        found.compare(
            OWN.format("probability"), record.probability, version.own(features), tolerance=TOLERANCE
        )
        if record.reasons is not None:
            _compare_reasons(found, record.reasons, version.explainer.reasons(features, probability))
    if paired is None:
        return
    scores = [("champion", record.champion, paired.champion_probability, paired.champion_threshold)]
    if paired.challenger_probability is not None and paired.challenger_threshold is not None:
        scores.append(
            ("challenger", paired.challenger, paired.challenger_probability, paired.challenger_threshold)
        )
    for role, name, recorded, threshold in scores:
        with _noted(found, f"{role}_probability, {role}_threshold"):
            version = versions.load(name)
            found.compare(f"{role}_probability", recorded, version.flat.probability(features))
            found.compare(f"{role}_threshold", threshold, version.threshold)
            if name != record.model_version:
                own = version.own(features)
                found.compare(OWN.format(f"{role}_probability"), recorded, own, tolerance=TOLERANCE)


def _compare_reasons(
    found: Comparison, recorded: list[dict[str, Any]], replayed: list[dict[str, Any]]
) -> None:
    """The codes in their order, and of each reason every word and figure."""
    found.compare("reasons", [one.get("code") for one in recorded], [one["code"] for one in replayed])
    for then, now in zip(recorded, replayed, strict=False):
        for name, value in now.items():
            # A contribution is a sum of products, which each processor adds up in its own order.
            tolerance = TOLERANCE if name == "contribution" else 0.0
            found.compare(f"reason {now['code']}: {name}", then.get(name), value, tolerance=tolerance)


@contextmanager
def _noted(found: Comparison, what: str) -> Iterator[None]:
    """Comparisons that cannot be made because a version cannot be loaded, or does not score any more."""
    try:
        yield
    except (RegistryError, StorageError) as error:
        found.not_compared.append(NotCompared(what, str(error)))
    except Exception as error:  # noqa: BLE001  a pickled model may raise anything
        line = next(iter(str(error).splitlines()), "")
        found.not_compared.append(NotCompared(what, f"the version raises {type(error).__name__}: {line}"))


def _database_url(settings: Settings) -> str | None:
    """Of a role that may read the log and the features: whichever is set."""
    url = settings.service_database_url or settings.reader_database_url or settings.publisher_database_url
    return url.get_secret_value() if url else None


async def _of_id(settings: Settings, decision_id: str) -> Comparison:
    try:
        record = await decision_of(_database_url(settings), settings.database_schema, decision_id)
    except DecisionUnknown as unknown:
        removal = removal_of(Storage(settings.lake_root), Kind.DECISIONS, _day_of(decision_id))
        if removal is None:
            raise
        raise DecisionUnknown(f"{unknown}: the decisions of its day were {removal.sentence}") from None
    return await replay(settings, record)


def _day_of(decision_id: str) -> str:
    """The day, in UTC, that an id of version 7 was made on."""
    try:
        milliseconds = UUID(decision_id).int >> 80
        return str(datetime.fromtimestamp(milliseconds / 1000, UTC).date())
    except (ValueError, OverflowError, OSError):
        return "none"


def main(argv: Sequence[str] | None = None) -> int:
    """Print *same*, or what differs or cannot be compared; exit code 1 where it is not the same."""
    parser = argparse.ArgumentParser(prog="python -m serving.replay", description="Make a decision again.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("decision_id", nargs="?", help="as the answer gave it")
    which.add_argument("--line", action="store_true", help="read the record's line in the log from stdin")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    if arguments.line:
        os.nice(NICE)  # whoever gives a line is a service, whose requests come first
    try:
        settings = load_settings()
        if arguments.line:
            found = asyncio.run(replay(settings, from_line(sys.stdin.buffer.read())))
        else:
            found = asyncio.run(_of_id(settings, arguments.decision_id))
    except CreditRiskError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found.as_json()) if arguments.json else "\n".join(found.lines()))
    return 0 if found.is_same else 1


if __name__ == "__main__":
    sys.exit(main())
