"""What replay reads of a snapshot's files is what Spark wrote."""

import asyncio

from creditrisk.contract import CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.past_customers import LAKE, past_customer
from tests.spark_jobs.landing import Lake, loan


def test_a_customer_is_read_back_as_spark_wrote_it(lake: Lake) -> None:
    lake.land(
        loan(n, id=n % 5, loan_date=f"2020-{1 + n % 12:02d}-{1 + n % 28:02d}", loan_amount=n / 7)
        for n in range(1, 60)
    )
    built = lake.build()
    customers = built.customers()
    assert sorted(customers) == list(range(5))
    assert set(CUSTOMER_COLUMNS) <= set(customers[0])
    for customer, row in customers.items():
        found = asyncio.run(past_customer(lake.settings, None, built.id, customer))
        assert found.source == LAKE
        assert found.customer
        assert found.customer.features == tuple(row[name] for name in FEATURE_NAMES)
        history = found.customer.history
        assert (history.newest_loan_date, history.birthday) == (row["loan_date"], row["birthday"])
        assert history.amount_sum_micros == row["amount_sum_micros"]
        assert history.loan_count_before_newest_day == row["loan_count_before_newest_day"]
    assert asyncio.run(past_customer(lake.settings, None, built.id, 99)).customer is None
