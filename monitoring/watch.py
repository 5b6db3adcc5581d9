"""One look of the watch: at every part, the nights, the measures and the release records; what changed is written down.

Sending is for others: when a look has ended, what is to be sent is in the table of deliveries.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from creditrisk.alert_store import Alert, AlertWriter, NewAlert, changing_alerts
from creditrisk.delivery_store import mark_sent
from creditrisk.errors import StoreError
from creditrisk.kept_alerts import KeptAlert, KeptAlerts
from creditrisk.nights import Night
from creditrisk.probe_store import Look, keep_looks
from creditrisk.settings import Settings, file_url
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.alert_rules import BY_NAME, RULES, STORE_AWAY
from monitoring.alerting import Broken, Changes, Seen, changes
from monitoring.nightly_probe import (
    NIGHT_OUTCOME,
    NIGHT_VERDICT,
    SWITCHED_OFF,
    NightlyPlan,
    measured_nights,
    nightly_looks,
)
from monitoring.probes import PATIENCE, POSTGRES, look_at_parts, monitoring_look
from monitoring.rule_kinds import Happening, Rule
from monitoring.watch_reads import StoreState, WatchReads, serving_words

_WORDS = 2_000
"""Characters of reported words that are kept: an error may be longer than a channel takes, and the log has the rest."""

_DAYS = max(days.of for rule in RULES if isinstance(rule.broken_when, tuple) for days in rule.broken_when)


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks with one deployment's settings."""

    settings: Settings
    channels: Sequence[str] = ("log",)
    """Names of those that are to be told."""
    airflow_url: str | None = None
    """Of Airflow's API server; None: its parts are not looked at."""

    def look(self, now: datetime | None = None, parts: Iterable[Look] | None = None) -> Changes:
        """Look at everything once, and write down what changed.

        Args:
            now: an aware moment, which may be past: nights, publications and releases are seen as they were then.
            parts: of the system, as somebody has seen them; None: they are looked at now.

        Raises:
            SettingsError: a database's URL is missing.
            StoreUnavailable: Postgres is away: see :meth:`keep_outage`.
            StoreError: it refused, such as where the tables have not been made yet.
        """
        reads = WatchReads(self.settings, now or datetime.now(UTC))
        looks = list(look_at_parts(self.settings, self.airflow_url) if parts is None else parts)
        releases = reads.releases()
        with changing_alerts(self.settings, reads.now) as writer:
            taken_over = self._take_over(writer)
            nights, store = reads.nights(), reads.store()
            measures = [*reads.measures(store.newest_measured, _DAYS), *measured_nights(self._plan, nights)]
            looks += self._looks_at_work(reads, nights, store)
            probes = keep_looks(writer.cursor, writer.schema, looks, reads.now)
            gone = {look.name: look.words for look in looks if look.is_gone}
            if not self._plan.schedule:
                gone |= dict.fromkeys((NIGHT_OUTCOME, NIGHT_VERDICT), SWITCHED_OFF)
            seen = Seen(measures, probes, [each for each in releases if reads.is_news(each)], gone)
            found = changes(RULES, seen, writer.open_alerts(), now=reads.now, zone=self.settings.zone)
            self._write(writer, found, serving_words(releases, store.snapshot, reads.today))
        for kept in taken_over:
            kept.drop()
        return found

    def tell_releases(self) -> None:
        """Write down what the newest release records say, at once; the next look finds it done. Raises as a look."""
        reads = WatchReads(self.settings, datetime.now(UTC))
        releases = reads.releases()
        seen = Seen(releases=[each for each in releases if reads.is_news(each)])
        with changing_alerts(self.settings, reads.now) as writer:
            happened = changes(RULES, seen, [], now=reads.now, zone=self.settings.zone).happened
            serving = serving_words(releases, reads.store().snapshot, reads.today)
            self._write(writer, Changes((), (), (), happened), serving)

    def report(self, rule: Rule, subject: str, words: str) -> None:
        """Start an alert of a rule that others see broken; nothing where it, or one of a part of it, is open, or happened.

        Where Postgres is away, or refuses, it waits elsewhere, for the first look that can write it.

        Args:
            rule: that is broken.
            subject: such as a DAG, whose parts are ``<DAG>.<task>``.
            words: what is wrong.

        Raises:
            SettingsError: a database's URL is missing.
            StorageError: there is nowhere to wait.
        """
        reads = WatchReads(self.settings, datetime.now(UTC))
        releases = reads.releases()
        broken = Broken(rule, subject, words[:_WORDS], reads.today)
        try:
            with changing_alerts(self.settings, reads.now) as writer:
                told = [alert.subject for alert in writer.open_alerts() if alert.rule == rule.name]
                if not _is_among(subject, told):
                    serving = serving_words(releases, reads.store().snapshot, reads.today)
                    happened_at = reads.now if _has_no_end(rule.name) else None
                    writer.start(self._new(broken, serving), self.channels, happened_at=happened_at)
        except StoreError:
            told = [each.subject for each in self._kept.waiting() if each.rule == rule.name and not each.over]
            if not _is_among(subject, told):
                serving = serving_words(releases, None, reads.today)
                self._kept.keep(self._new(broken, serving), reads.now)

    def report_over(self, rule: Rule, subject: str, because: str) -> None:
        """End an alert that was reported, if it is open, in words that say why. Waits and raises as :meth:`report`."""
        reads = WatchReads(self.settings, datetime.now(UTC))
        try:
            with changing_alerts(self.settings, reads.now) as writer:
                for alert in _open(writer, rule.name, subject):
                    serving = serving_words(reads.releases(), reads.store().snapshot, reads.today)
                    writer.end(alert, serving, self.channels, because[:_WORDS])
        except StoreError:
            self._kept.keep_end(rule.name, subject, because[:_WORDS], reads.now)

    def keep_outage(self, problem: str) -> list[KeptAlert]:
        """Keep in the lake, or on this machine, that Postgres is away; what is to be told of all that waits.

        One look at which it is away is no alert: the second in a row is.

        Args:
            problem: what Postgres, or its absence, says.

        Raises:
            StorageError: there is nowhere to keep it.
        """
        reads = WatchReads(self.settings, datetime.now(UTC))
        serving = serving_words(reads.releases(), None, reads.today)
        away = self._new(Broken(STORE_AWAY, "", problem, reads.today), serving)
        self._kept.keep(away, reads.now, needs_another=True)
        return [each for each in self._kept.waiting() if each.is_due and not each.over]

    @property
    def _kept(self) -> KeptAlerts:
        lake = Storage(self.settings.lake_root, patience=PATIENCE)
        here = Storage(file_url(self.settings.var_dir / "watch" / self.settings.market))
        return KeptAlerts((lake, here))

    def _take_over(self, writer: AlertWriter) -> list[KeptAlert]:
        """Write what waited, oldest first; whom an alert was told to already is not told again."""
        taken = self._kept.waiting()
        for kept in taken:
            if kept.alert and kept.is_due:
                at = kept.started_at
                happened_at = at if _has_no_end(kept.rule) else None
                number = writer.start(kept.alert, self.channels, started_at=at, happened_at=happened_at)
                if number is not None:
                    mark_sent(writer.cursor, writer.schema, number, kept.told, writer.now)
            if kept.over:
                for alert in _open(writer, kept.rule, kept.subject):
                    if alert.started_at <= kept.over.at:
                        writer.end(alert, alert.serving, self.channels, kept.over.because)
        return taken

    def _looks_at_work(self, reads: WatchReads, nights: Sequence[Night], store: StoreState) -> list[Look]:
        """Looks at what Postgres itself knows."""
        settings, yesterday = self.settings, reads.today - timedelta(days=1)
        late_days = settings.alerts.monitoring_late_days
        return [
            Look(POSTGRES, Verdict.PASS, f"It answers: schema {settings.database_schema}."),
            *nightly_looks(self._plan, store.published, nights, reads.now),
            monitoring_look(settings.monitoring_schedule, store.newest_measured, yesterday, late_days),
        ]

    @property
    def _plan(self) -> NightlyPlan:
        return NightlyPlan.of(self.settings)

    def _write(self, writer: AlertWriter, found: Changes, serving: str) -> None:
        for broken in found.started:
            writer.start(self._new(broken, serving), self.channels)
        for alert, broken_still in found.going_on:
            if broken_still:
                writer.renew(alert, broken_still.words, serving)
        for alert, because in found.ended:
            writer.end(alert, serving, self.channels, because)
        for broken, at in found.happened:
            writer.start(self._new(broken, serving), self.channels, happened_at=at)

    def _new(self, broken: Broken, serving: str) -> NewAlert:
        rule = broken.rule
        link = f"{self.settings.alerts.runbook_url}#{rule.anchor}"
        return NewAlert(
            rule.name, broken.subject, rule.severity, broken.words, broken.since, serving, rule.advice, link
        )


def _open(writer: AlertWriter, rule: str, subject: str) -> list[Alert]:
    """The open alerts of a rule on a subject."""
    return [alert for alert in writer.open_alerts() if (alert.rule, alert.subject) == (rule, subject)]


def _is_among(subject: str, told: Iterable[str]) -> bool:
    """Whether it, or a part of it, is told already."""
    return any(f"{each}.".startswith(f"{subject}.") for each in told)


def _has_no_end(rule: str) -> bool:
    return rule in BY_NAME and isinstance(BY_NAME[rule].broken_when, Happening)
