"""Parity: what a client is told of the next loan is what a model is trained on, for thousands of loans.

The whole way: loans to a snapshot by Spark, its customers to Postgres by COPY, and from there by asyncpg to the
one-row definition, held against the rows that Spark writes for training a day later.
"""

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from creditrisk.application_rules import broken_by_applicant
from creditrisk.contract import FEATURE_NAMES
from creditrisk.customer_rows import customer_rows
from creditrisk.decisions import GivenAttributes, LoanAsked
from creditrisk.errors import CustomerUnknown
from creditrisk.features import FeatureRow
from creditrisk.online_reader import OnlineReader
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from local.generate_loans import generate_loans
from serving.questions import Asked, Looked, LookedOrRefused, Questions
from tests.spark_jobs.landing import AS_OF, Built, Lake, line, loan

CUSTOMERS, DAYS, ONE_IN = 3600, 8, 8
DAY_BEFORE = AS_OF - timedelta(days=1)


def test_the_next_loan_of_the_day_before_is_the_first_loan_of_the_day_value_for_value(
    spark: SparkSession, market_settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(market_settings, spark)
    generate_loans(tmp_path / "loans.csv", CUSTOMERS, DAYS, seed=7, newest=AS_OF)
    header, *lines = (tmp_path / "loans.csv").read_text().splitlines()
    # All loans of the day that is compared, and a part of those before it.
    kept = [line for number, line in enumerate(lines) if f",{AS_OF}," in line or number % ONE_IN == 0]
    lake.land("\n".join([header, *kept, ""]))
    before, after = lake.build(DAY_BEFORE, landed_until=AS_OF), lake.build(AS_OF)
    publish(market_settings, before)
    trained = first_loans_of(after, AS_OF)
    told = asyncio.run(asked(market_settings, after, list(trained)))

    differing = {
        customer: (expected, told[customer].features)
        for customer, expected in trained.items()
        if told[customer].features != expected
    }
    assert differing == {}
    assert all(each.snapshot == before.manifest.snapshot and each.as_of == AS_OF for each in told.values())
    # Thousands of loans, among them first ones ever, ones without a job, and means that no decimal says exactly.
    assert len(trained) > 2500
    assert sum(each.given is not None for each in told.values()) > 10
    assert sum(row[1] is None for row in trained.values()) > 100
    assert sum(row[3] is not None and row[3] * 1000 != round(row[3] * 1000) for row in trained.values()) > 500


def test_what_is_refused_of_a_client_is_what_is_quarantined_of_a_file(lake: Lake) -> None:
    birthdays = [AS_OF - timedelta(days=days) for days in (-1, 0, 6569, 6570, 15_000, 36_864, 36_865)]
    birthdays.append(date(1988, 2, 29))
    cases = [
        (birthday, job)
        for birthday in birthdays
        for job in (None, date(2002, 2, 27), date(2002, 2, 28), date(3021, 9, 18))
    ]
    rows = [
        loan(number, id=number, birthday=birthday, job_start_date=job or "", loan_date=AS_OF)
        for number, (birthday, job) in enumerate(cases)
    ]
    lake.land(rows)
    reasons = lake.build().reasons()
    for row, (birthday, job) in zip(rows, cases, strict=True):
        refused = {broken.name for broken in broken_by_applicant(birthday, job, AS_OF, AS_OF)}
        # A file's row breaks both rules of a birthday in the future; a client is told the first.
        quarantined = reasons.get(line(row), set())
        if "birthday_in_future" in quarantined:
            quarantined -= {"age_out_of_range"}
        assert refused == quarantined, (birthday, job)
    assert 5 < len(reasons) < len(rows) - 5


def publish(settings: Settings, built: Built) -> None:
    store = OnlineStore(settings)
    store.migrate()
    store.publish(built.manifest, customer_rows(built.lake, built.manifest))


def first_loans_of(built: Built, day: date) -> dict[int, FeatureRow]:
    """The training rows of every customer's first loan of a day."""
    firsts: dict[int, dict[str, Any]] = {}
    for row in sorted(built.loans().values(), key=lambda row: row["loan_id"], reverse=True):
        if row["loan_date"] == day:
            firsts[row["id"]] = row
    return {customer: tuple(row[name] for name in FEATURE_NAMES) for customer, row in firsts.items()}  # type: ignore[misc]


async def asked(settings: Settings, after: Built, customers: list[int]) -> dict[int, Looked]:
    """What the service decides on; of a new customer by what a client would say."""
    assert settings.service_database_url
    reader = OnlineReader(
        settings.service_database_url.get_secret_value(),
        settings.database_schema,
        timeout_seconds=30,
        pool_size=2,
    )
    questions, told = Questions(reader, lambda: AS_OF), list[LookedOrRefused]()
    for first in range(0, len(customers), 1000):
        told += await questions.look_up_many(customers[first : first + 1000], LoanAsked.NEXT, None)
    known = after.customers()
    looked = {}
    for customer, each in zip(customers, told, strict=True):
        if isinstance(each, Looked):
            looked[customer] = each
            continue
        assert isinstance(each, CustomerUnknown)
        row = known[customer]
        given = GivenAttributes(row["birthday"], row["job_start_date"], row["flag_own_car"])
        looked[customer] = await questions.look_up(Asked(customer, LoanAsked.NEXT, AS_OF, given))
    reader.close()
    return looked
