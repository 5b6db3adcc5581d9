"""Judges the step that a release is in: its numbers from the log, filled up where it must be, then the verdict."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from creditrisk.errors import ChallengeRefused
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from monitoring.canary import CanaryVerdict, Step, judge
from monitoring.canary_checks import Finding
from monitoring.decision_reads import DecisionReads
from monitoring.fill_up import load_scorer, score_again
from monitoring.genders import genders_of
from monitoring.step_evidence import StepEvidence

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepJudge:
    """Judges steps with one deployment's settings."""

    settings: Settings

    def verdict(self, record: ReleaseRecord, *, now: datetime | None = None) -> CanaryVerdict:
        """The verdict on the step that a release record began.

        Raises:
            ChallengeRefused: the record has no challenger.
            StoreUnavailable: Postgres is down, or too slow.
            RegistryError: a version cannot be loaded to fill up with.
        """
        if record.challenger is None:
            raise ChallengeRefused(f"release {record.number}: nothing challenges {record.champion}")
        limits = self.settings.canary
        step = Step(
            release=record.number,
            champion=record.champion,
            challenger=record.challenger,
            share=record.share,
            since=record.at,
            judged_at=now or datetime.now(UTC),
        )
        reads = DecisionReads(self.settings)
        genders = genders_of(Storage(self.settings.lake_root), reads.served_snapshot())
        evidence = reads.evidence(step.release, step.challenger, step.since, genders)
        verdict = judge(step, evidence, limits)
        if verdict.finding is Finding.ABORT and step.seconds < limits.step_longest_seconds:
            return verdict
        if verdict.finding is not Finding.GO_ON and step.seconds >= limits.fill_up_after_seconds:
            return judge(step, evidence.joined(self._filled_up(step, reads, genders)), limits)
        return verdict

    def _filled_up(self, step: Step, reads: DecisionReads, genders: dict[int, str]) -> StepEvidence:
        """Both versions on the requests of the day before the step; none where there were none."""
        most = self.settings.canary.fill_up_most_customers
        requests = reads.requests_before(step.release, step.challenger, step.since, most)
        if not requests:
            return StepEvidence()
        logger.info(
            "Too few requests so far: scoring those of %s customers of the day before.", len(requests)
        )
        registry = ModelRegistry(Storage(self.settings.registry_root))
        champion, challenger = (load_scorer(registry, name) for name in (step.champion, step.challenger))
        return score_again(requests, champion, challenger, genders)
