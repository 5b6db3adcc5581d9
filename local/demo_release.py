"""Lets a second version challenge the one in service, for a few minutes and for real, so that a release can be looked at.

    python -m local.demo_release                 (make demo-release)

Unlike a generated history, nothing of this is told afterwards: release records are of the moment they are written at, so
a release cannot be put into a month that has passed. A version is trained with another seed, the service scores with both,
requests about customers of the served snapshot come by HTTP, and the judge of releases looks after each of them. It only
waits shorter than a release does: a step may end at once, and is filled up from the requests of the day before at once.
Whatever the judge says, the challenge is aborted in the end, so the same version serves as before; records, looks and
decisions stay, for they are of something that happened.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import numpy as np

from creditrisk.api_keys import Scope
from creditrisk.errors import CreditRiskError, KeyInvalid, ReleaseError, SettingsError
from creditrisk.key_store import add_key, revoke_key
from creditrisk.look_store import keep_look
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger, abort, challenge
from creditrisk.settings import Settings, load_settings
from creditrisk.storage import Storage
from local import stack
from local.api_key import HEADER
from local.progress import Progress, StackError, fail
from local.walkthrough import SAMPLE

BY = "demo-release"
"""Of the release records and the key of the requests."""
_REASON = "A demonstration: local.demo_release, which aborts it in the end"
_TAKEN_UP_SECONDS = 30.0
_LOGGED_SECONDS = 2.5
"""Within which an answer is in the log, where the service ships every second."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long the demonstration is."""

    looks: int = 4
    """Of the judge at each step."""
    requests: int = 120
    """Before each look."""
    seed: int = 11
    """Of the challenger's training, and of whom is asked about."""
    with_report: bool = True
    """Whether the day gets its drift report."""


@dataclass(slots=True)
class DemoRelease:
    """One challenge, from its training to its end."""

    settings: Settings
    length: Length
    progress: Progress
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Draw whom is asked about anew."""
        self.rng = np.random.default_rng(self.length.seed)

    def make(self) -> list[str]:
        """Make it; what happened, for a person.

        Raises:
            CreditRiskError: something that it stands on is missing, or another version challenges already.
            StackError: the service does not answer, or does not take the challenger up.
        """
        newest = ReleaseLedger(Storage(self.settings.registry_root)).newest()
        if newest is None:
            raise ReleaseError("release: nothing has been released yet: make run")
        version = self._challenger()
        customers = self._customers()
        if newest.challenger == version and newest.by == BY:
            abort(self.settings, version, by=BY, reason=f"{_REASON}: one that was killed")
        first = challenge(self.settings, version, 0.0, by=BY, reason=_REASON)
        why = "stopped before its end"
        try:
            with (
                _key(self.settings) as key,
                httpx.Client(base_url=self._url, headers={HEADER: key}) as client,
            ):
                for share in (0.0, *self.settings.canary.steps):
                    said = self._step(client, version, share, customers)
                why = f"the demonstration is over; the judge's last word was: {said}"
        finally:
            last = abort(self.settings, version, by=BY, reason=f"{_REASON}: {why}")
        self._measure(last.at)
        return [
            f"{version} challenged {last.champion}, which serves as before: releases {first.number} to {last.number}.",
            "See it on the operators' page under Release, and both arms of today under Drift and results.",
            "Records, looks and decisions stay. The watch tells of the abort, as of any.",
        ]

    @property
    def _url(self) -> str:
        return f"http://{self.settings.bind_host}:{self.settings.api_port}"

    def _challenger(self) -> str:
        """Train the version; one that was trained before is taken as it is.

        Raises:
            CreditRiskError: it cannot be trained, or may not serve.
        """
        from training.train import judge, register, train

        with self.progress.step("Training a second version"):
            version = train(self.settings, None, "forest", self.length.seed)
            judge(self.settings, version)
            register(self.settings, version)
        ModelRegistry(Storage(self.settings.registry_root)).require_servable(version)
        return version

    def _customers(self) -> list[int]:
        """Of the snapshot that is being served, ascending."""
        from monitoring.decision_reads import DecisionReads
        from monitoring.genders import genders_of

        served = DecisionReads(self.settings).served_snapshot()
        if served is None:
            raise SettingsError("snapshot: none is being served: make run")
        return sorted(genders_of(Storage(self.settings.lake_root), served))

    def _step(self, client: httpx.Client, version: str, share: float, customers: Sequence[int]) -> str:
        """Give the challenger its share, ask and judge; the judge's last word.

        Raises:
            ReleaseError: the judge says abort.
        """
        from monitoring.step_judgement import StepJudge

        record = challenge(self.settings, version, share, by=BY, reason=_REASON)
        hurried = {"step_least_seconds": 0.0, "fill_up_after_seconds": 0.0}
        canary = self.settings.canary.model_copy(update=hurried)
        judge = StepJudge(self.settings.model_copy(update={"canary": canary}))
        with self.progress.step(f"Release {record.number}: share {share:.0%}"):
            self._wait_for(client, record)
            for _ in range(self.length.looks):
                self._ask(client, customers)
                verdict = judge.verdict(record)
                keep_look(self.settings, verdict.model_dump(mode="json"))
                self.progress.say(
                    f"    {verdict.decisions:,} paired decisions ({verdict.filled_up:,} of them filled up): {verdict.finding}"
                )
                if verdict.finding == "abort":
                    raise ReleaseError(f"release {record.number}: {'; '.join(verdict.reasons)}")
        return str(verdict.finding)

    def _wait_for(self, client: httpx.Client, record: ReleaseRecord) -> None:
        """Return once a worker of the service scores by a release record; requests before that pair with another.

        Raises:
            StackError: none does in time.
        """
        deadline = time.monotonic() + _TAKEN_UP_SECONDS
        answer = ""
        while time.monotonic() < deadline:
            model = client.get("/model")
            answer = model.text
            said = model.json() if model.is_success else {}
            if said.get("release") == record.number and (said.get("challenger") or {}).get("is_scored"):
                time.sleep(1.0)  # another worker looks once a second, too
                return
            time.sleep(0.2)
        raise StackError(f"the service does not score by release {record.number}: {answer}")

    def _ask(self, client: httpx.Client, customers: Sequence[int]) -> None:
        for customer in self.rng.choice(customers, self.length.requests).tolist():
            answer = client.post("/predict", json={"id": customer})
            if not answer.is_success:
                raise StackError(f"POST /predict for {customer}: {answer.status_code} {answer.text}")
        time.sleep(_LOGGED_SECONDS)

    def _measure(self, at: datetime) -> None:
        """Measure the day up to now, so that both arms are on the page at once."""
        from monitoring.evidently_report import write_report
        from monitoring.monitor import monitor_day
        from monitoring.results import measure_results

        day = at.astimezone(self.settings.zone).date()
        with self.progress.step(f"Measuring {day} up to now"):
            monitor_day(self.settings, day)
            measure_results(self.settings, day)
            if self.length.with_report:
                write_report(self.settings, day)


@contextmanager
def _key(settings: Settings) -> Iterator[str]:
    """A key for the demonstration's requests, revoked in the end."""
    with suppress(KeyInvalid):
        revoke_key(settings, BY, by=BY)  # of one that was killed
    key = add_key(settings, BY, [Scope.PREDICT, Scope.READ], by=BY)
    try:
        yield key
    finally:
        revoke_key(settings, BY, by=BY)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo_release", description="A release to look at, made for real and aborted."
    )
    usual = Length()
    parser.add_argument(
        "--looks", type=int, default=usual.looks, metavar="N", help="of the judge at each step"
    )
    parser.add_argument("--requests", type=int, default=usual.requests, metavar="N", help="before each look")
    parser.add_argument("--seed", type=int, default=usual.seed)
    asked = parser.parse_args(argv)
    try:
        settings = stack.as_started(load_settings())
        if settings.market != SAMPLE:
            raise StackError(
                f"market {settings.market}: its decisions may be real, and a demonstration does not belong among them: "
                f"make run LOANS={SAMPLE} first"
            )
        lines = DemoRelease(settings, Length(asked.looks, asked.requests, asked.seed), Progress()).make()
    except (CreditRiskError, StackError) as error:
        return fail(error)
    except httpx.HTTPError as error:
        return fail(StackError(f"the service does not answer ({error}): make status"))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
