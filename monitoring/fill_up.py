"""Evidence for a step that too few requests have come for: those of the day before, scored with both versions.

The features are those that the log has, so nothing is looked up again; each version is loaded, checked and
flattened as the service does, and scores one row at a time, as it would have then.
"""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, log

from creditrisk.contract import AGE_BANDS
from creditrisk.features import FeatureRow
from creditrisk.registry import ModelRegistry
from creditrisk.scoring import FlatModel, flatten, verify
from monitoring.decision_reads import LoggedRequest, groups_of
from monitoring.step_evidence import LEAST_PROBABILITY, SCORE_BINS, Approvals, Group, StepEvidence


@dataclass(frozen=True, slots=True)
class Scorer:
    """A version as it decides."""

    flat: FlatModel
    threshold: float


def load_scorer(registry: ModelRegistry, version: str) -> Scorer:
    """A version that may serve, proven to score as its own model does.

    Raises:
        RegistryError: it is missing, damaged, refused, made for something else, or scores differently.
    """
    loaded = registry.load(version)
    flat, threshold = flatten(loaded.model), loaded.manifest.threshold
    verify(flat, loaded.reference_rows, loaded.reference_probabilities, threshold)
    return Scorer(flat, threshold)


def score_again(
    requests: Iterable[LoggedRequest], champion: Scorer, challenger: Scorer, genders: Mapping[int, str]
) -> StepEvidence:
    """What both versions say of logged requests, each of another customer."""
    problems, timings = Counter[str](), Counter[tuple[int, int]]()
    scores = (Counter[int](), Counter[int]())
    approvals, groups = Approvals(), dict[Group, Approvals]()
    decisions = 0
    for request in requests:
        decisions += 1
        theirs, champion_microseconds = _timed(champion, request.features)
        try:
            ours, challenger_microseconds = _timed(challenger, request.features)
            if not 0.0 <= ours <= 1.0:
                raise ValueError(f"its probability is {ours!r}, which is none")
        except Exception as error:  # noqa: BLE001  as in the service, whatever a version raises is its own
            problems[f"{type(error).__name__}: {error}"] += 1
            continue
        timings[champion_microseconds, challenger_microseconds] += 1
        pair = Approvals.of(theirs < champion.threshold, ours < challenger.threshold)
        approvals = approvals.joined(pair)
        for group in _groups(request, genders):
            groups[group] = groups.get(group, Approvals()).joined(pair)
        for counts, probability in zip(scores, (theirs, ours), strict=True):
            counts[score_bin(probability)] += 1
    return StepEvidence(
        decisions=decisions,
        problems=problems,
        timings=timings,
        approvals=approvals,
        groups=groups,
        champion_scores=scores[0],
        challenger_scores=scores[1],
        filled_up=approvals.customers,
    )


def score_bin(probability: float) -> int:
    """The bin of a score's log-odds, 0 to 399; Postgres says the same of what is in the log."""
    bounded = min(max(probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    return floor((log(bounded / (1 - bounded)) + 10) / 20 * SCORE_BINS)


def _timed(scorer: Scorer, features: FeatureRow) -> tuple[float, int]:
    began = time.perf_counter_ns()
    probability = scorer.flat.probability(features)
    return probability, (time.perf_counter_ns() - began) // 1000


def _groups(request: LoggedRequest, genders: Mapping[int, str]) -> list[Group]:
    age, own_car = request.features[0], request.features[4]
    age_band = bisect_right([low for low, _ in AGE_BANDS[1:]], age)
    return groups_of(age_band, own_car, genders.get(request.customer, ""))
