"""The evaluation of rules: what starts, goes on and ends, of made-up measures, looks and release records."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from creditrisk.alert_store import Alert
from creditrisk.metric_store import Measure, Measured
from creditrisk.probe_store import Probe
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.snapshots import Verdict
from monitoring.alerting import Changes, Seen, changes
from monitoring.rule_kinds import Days, Happening, Lasting, Reported, Rule, Severity

NOW = datetime(2021, 1, 31, 12, tzinfo=UTC)
NEWEST = date(2021, 1, 30)
LETTERS = {"p": Verdict.PASS, "w": Verdict.WARN, "f": Verdict.FAIL, "-": Verdict.NOT_JUDGED}


def rule(broken_when: tuple[Days, ...] | Lasting | Happening | Reported) -> Rule:
    return Rule("a_rule", "A rule", Severity.WARNING, broken_when, "do something")


def days(verdicts: str, metric: str = "shift", part: str = "age", newest: date = NEWEST) -> list[Measured]:
    """A measure's verdicts, a letter a day, the newest last; a space is a day without one."""
    found = []
    for back, letter in enumerate(reversed(verdicts)):
        if letter != " ":
            day = newest - timedelta(days=back)
            words = f"{part} is {letter} on {day}"
            found.append(
                Measured(day, Measure(metric, part, 1.0, 0.5, LETTERS[letter], words), NOW),
            )
    return found


def probe(verdict: Verdict, minutes: float, name: str = "part") -> Probe:
    return Probe(name, verdict, f"it is {verdict}", NOW, NOW - timedelta(minutes=minutes))


def opened(subject: str = "", name: str = "a_rule") -> Alert:
    return Alert(1, name, subject, "warning", NOW, None, "old words", NEWEST, "m", "do", "link")


def held(a_rule: Rule, seen: Seen, open_alerts: Sequence[Alert] = ()) -> Changes:
    return changes([a_rule], seen, open_alerts, now=NOW, zone=UTC)


def told(a_rule: Rule, seen: Seen) -> str:
    """What a look makes of a rule whose alert is not open, and of one whose alert is."""
    closed, is_open = held(a_rule, seen), held(a_rule, seen, [opened()])
    assert len(is_open.ended) + len(is_open.going_on) == 1
    return f"{'starts' if closed.started else 'quiet'}, {'ends' if is_open.ended else 'goes on'}"


class TestDays:
    @pytest.mark.parametrize(
        ("verdicts", "what"),
        [
            ("ppppf", "quiet, ends"),  # one noisy day
            ("pppff", "quiet, ends"),
            ("ppfff", "starts, goes on"),
            ("fpfpf", "starts, goes on"),
            (
                "ffffp",
                "quiet, goes on",
            ),  # bad days enough, and the newest is good: held, so that it does not flap
            ("fffpp", "quiet, goes on"),
            ("ffppp", "quiet, ends"),
            ("fff--", "quiet, goes on"),  # the newest day is not judged: nobody knows
            ("f f f", "starts, goes on"),  # days without a measure are not bad ones
            ("wwwww", "quiet, ends"),
            ("fffffpppp", "quiet, ends"),
            ("", "quiet, goes on"),
        ],
    )
    def test_three_of_the_last_five_and_the_newest(self, verdicts: str, what: str) -> None:
        a_rule = rule((Days(("shift",), bad=3, of=5),))
        assert told(a_rule, Seen(days(verdicts))) == what

    def test_each_measure_counts_its_own_days(self) -> None:
        a_rule = rule((Days(("shift",), bad=2, of=3),))
        apart = [*days("fpp", part="a"), *days("pfp", part="b"), *days("ppf", part="c")]
        assert told(a_rule, Seen(apart)) == "quiet, ends"
        assert held(a_rule, Seen([*apart, *days("pff", part="d")])).started[0].words == f"d is f on {NEWEST}."

    def test_one_alert_names_the_worst_measures_and_counts_the_rest(self) -> None:
        a_rule = rule((Days(("shift",), frozenset({Verdict.WARN, Verdict.FAIL}), bad=1, of=2),))
        measures = [each for number in range(7) for each in days("w", part=f"w{number}")]
        (broken,) = held(a_rule, Seen([*measures, *days("ff", part="the worst")])).started
        assert broken.words.startswith(f"the worst is f on {NEWEST}. w0 is w on {NEWEST}. ")
        assert broken.words.endswith(f"w3 is w on {NEWEST}. And 3 more.")
        assert broken.since == NEWEST - timedelta(days=1)

    def test_other_metrics_and_parts_are_not_its_business(self) -> None:
        a_rule = rule((Days(("shift",), parts="day/*"),))
        others = [*days("f", metric="other", part="day/age"), *days("f", part="week/age")]
        assert told(a_rule, Seen(others)) == "quiet, goes on"
        assert told(a_rule, Seen([*others, *days("f", part="day/champion/age")])) == "starts, goes on"

    def test_a_part_that_is_no_longer_measured_is_over(self) -> None:
        a_rule = rule((Days(("shift",), bad=2, of=3),))
        gone = days("ff", part="challenger/age", newest=NEWEST - timedelta(days=1))
        assert told(a_rule, Seen([*gone, *days("ppp", part="champion/age")])) == "quiet, ends"
        unjudged = days("---", part="champion/age")
        assert told(a_rule, Seen([*gone, *unjudged])) == "quiet, ends"
        assert told(a_rule, Seen([*days("ff", part="champion/age"), *gone, *days("-", part="other")])) == (
            "starts, goes on"
        )
        harmless = days("pp", part="challenger/age", newest=NEWEST - timedelta(days=1))
        assert told(a_rule, Seen([*harmless, *unjudged])) == "quiet, goes on"

    def test_one_that_is_not_judged_any_more_is_not_over_for_anothers_good_day(self) -> None:
        a_rule = rule((Days(("shift",), bad=2, of=3),))
        good = days("ppppp", part="income")
        assert told(a_rule, Seen([*days("ff-", part="age"), *good])) == "quiet, goes on"
        assert told(a_rule, Seen([*days("pff--", part="age"), *good])) == "quiet, goes on"
        assert told(a_rule, Seen([*days("ffpp-", part="age"), *good])) == "quiet, ends"

    def test_of_two_ways_one_is_enough_and_one_that_is_not_judged_says_nothing(self) -> None:
        a_rule = rule((Days(("shift",), parts="day"), Days(("shift",), bad=2, of=2, parts="week")))
        assert told(a_rule, Seen([*days("-", part="day"), *days("ff", part="week")])) == "starts, goes on"
        assert told(a_rule, Seen([*days("-", part="day"), *days("pp", part="week")])) == "quiet, ends"
        assert told(a_rule, Seen([*days("p", part="day"), *days("fp", part="week")])) == "quiet, ends"
        assert told(a_rule, Seen([*days("-", part="day"), *days("--", part="week")])) == "quiet, goes on"


class TestLasting:
    @pytest.mark.parametrize(
        ("verdict", "minutes", "what"),
        [
            (Verdict.FAIL, 9, "quiet, goes on"),
            (Verdict.FAIL, 10, "starts, goes on"),
            (Verdict.WARN, 10, "quiet, ends"),
            (Verdict.PASS, 9, "quiet, goes on"),  # it has just come back: whether it stays is not known yet
            (Verdict.PASS, 10, "quiet, ends"),
            (Verdict.NOT_JUDGED, 60, "quiet, goes on"),
        ],
    )
    def test_what_comes_and_goes_makes_no_noise(self, verdict: Verdict, minutes: float, what: str) -> None:
        a_rule = rule(Lasting("part", at_least=timedelta(minutes=10)))
        assert told(a_rule, Seen(probes=[probe(verdict, minutes)])) == what

    def test_a_part_that_was_never_looked_at_is_not_known(self) -> None:
        a_rule = rule(Lasting("part"))
        assert told(a_rule, Seen(probes=[probe(Verdict.FAIL, 60, name="another")])) == "quiet, goes on"

    def test_one_that_is_gone_ends_it_at_once_and_is_told_as_that(self) -> None:
        seen = Seen(probes=[probe(Verdict.NOT_JUDGED, 0)], gone={"part": "It was moved to a file."})
        found = held(rule(Lasting("part", at_least=timedelta(minutes=10))), seen, [opened()])
        assert found.ended == ((opened(), "It was moved to a file."),)
        days_rule = rule((Days(("shift",)),))
        gone = Seen(days("f"), gone={"shift": "Nothing is scheduled."})
        assert held(days_rule, gone, [opened()]).ended == ((opened(), "Nothing is scheduled."),)
        assert held(days_rule, gone).started == ()

    def test_words_and_day_are_the_looks(self) -> None:
        (broken,) = held(rule(Lasting("part")), Seen(probes=[probe(Verdict.FAIL, 13 * 60)])).started
        assert (broken.words, broken.since) == ("it is fail", date(2021, 1, 30))


class TestHappening:
    def release(self, number: int, action: ReleaseAction) -> ReleaseRecord:
        return ReleaseRecord(
            number=number, action=action, champion="v", by="ana", reason="the judge says so", at=NOW
        )

    def test_each_record_of_an_action_is_one(self) -> None:
        a_rule = rule(Happening(frozenset({ReleaseAction.ABORT})))
        records = [
            self.release(7, ReleaseAction.ABORT),
            self.release(8, ReleaseAction.GROW),
            self.release(9, ReleaseAction.ABORT),
        ]
        found = held(a_rule, Seen(releases=records))
        assert found.started == ()
        assert [(broken.subject, at) for broken, at in found.happened] == [
            ("release 7", NOW),
            ("release 9", NOW),
        ]
        assert found.happened[0][0].words == "Release 7 (abort) by ana: v serves everybody: the judge says so"


def test_what_is_reported_ends_when_whoever_reported_it_says_so() -> None:
    found = held(rule(Reported()), Seen(), [opened("train_model.train")])
    assert (found.started, found.ended) == ((), ())
    assert found.going_on == ((opened("train_model.train"), None),)


def test_an_alert_that_goes_on_comes_with_its_words_of_now() -> None:
    found = held(rule(Lasting("part")), Seen(probes=[probe(Verdict.FAIL, 60)]), [opened()])
    ((alert, broken),) = found.going_on
    assert alert.words == "old words"
    assert broken is not None
    assert broken.words == "it is fail"


def test_an_alert_of_a_rule_that_is_no_more_ends() -> None:
    found = held(rule(Lasting("part")), Seen(), [opened(name="an_old_rule")])
    assert [(alert.rule, why) for alert, why in found.ended] == [
        ("an_old_rule", "There is no such rule any more.")
    ]
