"""What the judge reads of the decision log in Postgres: aggregates made where the rows lie, as the reading role.

A step is read in two passes over its rows. In the first each request counts. In the second each customer counts
once, with the first request of the step: a client that asks a thousand times about one customer is no evidence
about a thousand, and which request is counted does not depend on what was answered.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg2
from psycopg2 import extensions, sql

from creditrisk.contract import AGE_BANDS, FEATURE_NAMES
from creditrisk.errors import DecisionLogError, SettingsError, StoreUnavailable
from creditrisk.features import FeatureRow
from creditrisk.settings import Settings
from monitoring.step_evidence import LEAST_PROBABILITY, SCORE_BINS, Approvals, Group, StepEvidence, Timing

_CONNECT_SECONDS = 10
_STATEMENT_TIMEOUT = "120s"
_SORT_MEMORY = "128MB"

_CLOCKS_DIFFER = timedelta(hours=1)
"""How far the service's clock may be behind that of a release record's writer. It only keeps older days unread."""

LOADING = "still being loaded"
"""How the challenger's problem ends while a process loads it: no failure of the version, and no evidence."""

_REQUESTS = sql.SQL("""
    SELECT arm, champion_microseconds, challenger_microseconds, left(challenger_problem, 300), count(*)
    FROM {decisions}
    WHERE release = %(release)s AND challenger = %(challenger)s AND decided_at >= %(since)s
    GROUP BY 1, 2, 3, 4
""")

_CUSTOMERS = sql.SQL("""
    WITH first AS (
        SELECT customer, min(ARRAY[
            extract(epoch FROM decided_at), age, flag_own_car,
            (champion_probability < champion_threshold)::integer,
            (challenger_probability < challenger_threshold)::integer,
            champion_probability, challenger_probability
        ]::float8[]) AS request
        FROM {decisions}
        WHERE release = %(release)s AND challenger = %(challenger)s AND decided_at >= %(since)s
            AND challenger_probability IS NOT NULL
        GROUP BY customer
    ), known AS (
        SELECT unnest(%(customers)s::bigint[]) AS customer, unnest(%(genders)s::smallint[]) AS gender
    ), scored AS (
        SELECT width_bucket(request[2], %(ages)s::float8[]) AS age_band, request[3] AS own_car, gender,
            request[4] = 1 AS champion, request[5] = 1 AS challenger,
            least(greatest(request[6], %(least)s), 1 - %(least)s) AS champion_score,
            least(greatest(request[7], %(least)s), 1 - %(least)s) AS challenger_score
        FROM first LEFT JOIN known USING (customer)
    ), binned AS (
        SELECT age_band, own_car, gender, champion, challenger,
            floor((ln(champion_score / (1 - champion_score)) + 10) / 20 * %(bins)s)::integer AS champion_bin,
            floor((ln(challenger_score / (1 - challenger_score)) + 10) / 20 * %(bins)s)::integer AS challenger_bin
        FROM scored
    )
    SELECT age_band, own_car, gender, champion, challenger, champion_bin, challenger_bin, count(*)
    FROM binned
    GROUP BY GROUPING SETS (
        (age_band, own_car, gender, champion, challenger), (champion_bin), (challenger_bin)
    )
""")
"""A row's array begins with its time, so the least one is the customer's first: no sort, and memory by customer."""

_DAY_BEFORE = sql.SQL("""
    SELECT customer, {features}
    FROM (
        SELECT DISTINCT ON (customer) customer, {features}
        FROM {decisions}
        WHERE decided_at >= %(from)s AND decided_at < %(until)s AND customer NOT IN (
            SELECT customer FROM {decisions}
            WHERE release = %(release)s AND challenger = %(challenger)s AND decided_at >= %(since)s
        )
        ORDER BY customer, decided_at, decision_id
    ) AS first
    ORDER BY hashint8(customer), customer
    LIMIT %(most)s
""")
"""By a hash, so that which customers are taken depends on nothing that is known of them."""


class LoggedRequest(NamedTuple):
    """A customer's first request of a time, and what it was decided on."""

    customer: int
    features: FeatureRow


class DecisionReads:
    """One market's decision log, read as the reading role."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet.

        Raises:
            SettingsError: there is no URL to read with.
        """
        if settings.reader_database_url is None:
            raise SettingsError("CREDITRISK_READER_DATABASE_URL: not set, so the decision log cannot be read")
        self._url = settings.reader_database_url
        self._decisions = sql.Identifier(settings.database_schema, "decisions")
        self._pointer = sql.Identifier(settings.database_schema, "current_snapshot")

    def evidence(
        self, release: int, challenger: str, since: datetime, genders: Mapping[int, str]
    ) -> StepEvidence:
        """What the log has of the release record's decisions, paired with its challenger.

        Args:
            release: number of the release record.
            challenger: its challenger.
            since: when it was written.
            genders: by customer, as far as known; for fairness only.

        Raises:
            StoreUnavailable: Postgres is down, or too slow.
            DecisionLogError: it refused the question.
        """
        step = {"release": release, "challenger": challenger, "since": since - _CLOCKS_DIFFER}
        kinds = sorted(set(genders.values()))
        numbers = {gender: number for number, gender in enumerate(kinds)}
        customers = {
            "ages": [float(low) for low, _ in AGE_BANDS[1:]],
            "least": LEAST_PROBABILITY,
            "bins": SCORE_BINS,
            "customers": _array(genders.keys()),
            "genders": _array(numbers[gender] for gender in genders.values()),
        }
        with self._reading() as cursor:
            cursor.execute(_REQUESTS.format(decisions=self._decisions), step)
            requests = _requests(cursor.fetchall())
            cursor.execute(_CUSTOMERS.format(decisions=self._decisions), {**step, **customers})
            return requests.joined(_customers(cursor.fetchall(), kinds))

    def served_snapshot(self) -> str | None:
        """The snapshot that decisions rest on now, or None before the first is published."""
        with self._reading() as cursor:
            cursor.execute(sql.SQL("SELECT snapshot FROM {}").format(self._pointer))
            found = cursor.fetchone()
            return str(found[0]) if found else None

    def requests_before(
        self, release: int, challenger: str, since: datetime, most: int
    ) -> list[LoggedRequest]:
        """First requests of the day before a step of customers whom the step has not seen, in a random order.

        Raises what :meth:`evidence` raises.
        """
        question = _DAY_BEFORE.format(
            decisions=self._decisions, features=sql.SQL(", ").join(map(sql.Identifier, FEATURE_NAMES))
        )
        with self._reading() as cursor:
            cursor.execute(
                question,
                {
                    "release": release,
                    "challenger": challenger,
                    "since": since - _CLOCKS_DIFFER,
                    "from": since - timedelta(days=1),
                    "until": since,
                    "most": most,
                },
            )
            return [LoggedRequest(row[0], row[1:]) for row in cursor.fetchall()]

    @contextmanager
    def _reading(self) -> Iterator[extensions.cursor]:
        """A cursor in one transaction that sees one moment and writes nothing."""
        try:
            with closing(
                psycopg2.connect(
                    self._url.get_secret_value(),
                    connect_timeout=_CONNECT_SECONDS,
                    application_name="creditrisk judge",
                    options=f"-c statement_timeout={_STATEMENT_TIMEOUT} -c work_mem={_SORT_MEMORY}",
                )
            ) as connection:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
                with connection, connection.cursor() as cursor:
                    yield cursor
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise StoreUnavailable(f"Postgres (reader): {_first_line(error)}") from error
        except psycopg2.Error as error:
            raise DecisionLogError(f"Postgres (reader): {_first_line(error)}") from error


def _requests(rows: list[tuple[Any, ...]]) -> StepEvidence:
    """Evidence of every request, from counts by arm, both times and problem."""
    problems, timings = Counter[str](), Counter[Timing]()
    decisions = challengers = fallbacks = loading = 0
    for arm, champion_microseconds, challenger_microseconds, problem, count in rows:
        if problem is not None and problem.endswith(LOADING):
            loading += count
            continue
        decisions += count
        challengers += count if arm in ("challenger", "fallback") else 0
        fallbacks += count if arm == "fallback" else 0
        if problem is not None:
            problems[problem] += count
        elif champion_microseconds is not None and challenger_microseconds is not None:
            timings[champion_microseconds, challenger_microseconds] += count
    return StepEvidence(
        decisions=decisions,
        problems=problems,
        challengers_customers=challengers,
        fallbacks=fallbacks,
        loading=loading,
        timings=timings,
    )


def _customers(rows: list[tuple[Any, ...]], genders: list[str]) -> StepEvidence:
    """Evidence of every customer, from counts by group and decisions, and by each score's bin."""
    approvals, groups = Approvals(), dict[Group, Approvals]()
    scores = (Counter[int](), Counter[int]())
    for age_band, own_car, gender, champion, challenger, champion_bin, challenger_bin, count in rows:
        if champion is None:
            for counts, number in zip(scores, (champion_bin, challenger_bin), strict=True):
                if number is not None:
                    counts[number] += count
            continue
        pair = Approvals.of(champion, challenger, count)
        approvals = approvals.joined(pair)
        for group in groups_of(age_band, own_car, "" if gender is None else genders[gender]):
            groups[group] = groups.get(group, Approvals()).joined(pair)
    return StepEvidence(
        approvals=approvals, groups=groups, champion_scores=scores[0], challenger_scores=scores[1]
    )


def groups_of(age_band: int, own_car: float, gender: str) -> list[Group]:
    """The groups that a customer is in; the age band is a number in ``AGE_BANDS``, an unknown gender is empty."""
    low, high = AGE_BANDS[age_band]
    groups = [("age", f"{low} to {high - 1}"), ("own car", "yes" if own_car else "no")]
    return [*groups, ("gender", gender)] if gender else groups


def _array(numbers: Iterable[int]) -> str:
    """Postgres's text of an array: a list of 400,000 as SQL would take it longer to parse than to use."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _first_line(error: psycopg2.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
