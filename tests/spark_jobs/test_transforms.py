"""Feature definitions: golden cases, and a plain-Python oracle held against Spark on generated loans."""

from datetime import date, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from creditrisk.contract import COLUMN_ROLES, CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.features import CustomerHistory, features_of_application, mean_amount
from tests.spark_jobs.landing import AS_OF, Built, Lake, loan
from tests.spark_jobs.oracle import Loan, loan_features, newest_loans

CUSTOMERS_AT_ONCE = 40


def test_golden_cases_of_every_feature(lake: Lake) -> None:
    lake.land(
        [
            # The order of a customer's loans, ties on a day, and the mean of earlier days.
            loan(900, id=1, loan_date="2020-03-01", loan_amount=700),
            loan(400, id=1, loan_date="2020-02-01", loan_amount=400),
            loan(100, id=1, loan_date="2020-01-01", loan_amount=100),
            loan(200, id=1, loan_date="2020-02-01", loan_amount=200),
            # One loan; not employed; no car.
            loan(10, id=2, job_start_date="3021-09-18", flag_own_car="N", status=""),
            # A job that starts after the loan and before the snapshot's date; no job at all.
            loan(20, id=3, job_start_date="2020-06-02"),
            loan(30, id=4, job_start_date=""),
            # Born on a leap day: 365-day years, so the age grows before the birthday does.
            loan(40, id=5, birthday="2000-02-29", job_start_date="", loan_date="2020-02-24"),
            loan(41, id=6, birthday="2000-02-29", job_start_date="", loan_date="2020-02-23"),
            # The job starts on the loan's own day.
            loan(50, id=7, job_start_date="2020-06-01", loan_date="2020-06-01"),
            # Amounts that no double holds.
            loan(60, id=8, loan_date="2020-01-01", loan_amount="0.1"),
            loan(61, id=8, loan_date="2020-01-02", loan_amount="0.2"),
            loan(62, id=8, loan_date="2020-01-03", loan_amount="0.3"),
        ]
    )
    built = lake.build()
    loans, customers = built.loans(), built.customers()

    assert [loans[key]["nb_previous_loans"] for key in (100, 200, 400, 900)] == [0, 1, 2, 3]
    means = [loans[key]["avg_amount_loans_previous"] for key in (100, 200, 400, 900)]
    assert means == [None, 100.0, 100.0, 700 / 3]
    assert loans[10]["nb_previous_loans"] == 0
    assert loans[10]["avg_amount_loans_previous"] is None
    assert (loans[10]["flag_own_car"], loans[100]["flag_own_car"]) == (0, 1)
    assert (loans[10]["status"], loans[100]["status"]) == (None, 0)
    assert [loans[key]["years_on_the_job"] for key in (10, 20, 30, 50)] == [None, None, None, 0]
    assert [customers[key]["years_on_the_job"] for key in (2, 3, 4)] == [None, 0, None]
    assert [loans[key]["age"] for key in (40, 41)] == [20, 19]
    assert loans[62]["avg_amount_loans_previous"] == mean_amount(300_000, 2)

    online = customers[1]
    assert (online["loan_id"], online["loan_date"]) == (900, date(2020, 3, 1))
    assert (online["nb_previous_loans"], online["avg_amount_loans_previous"]) == (3, 700 / 3)
    assert (online["loan_count"], online["amount_sum_micros"]) == (4, 1_400_000_000)
    assert online["loan_count_before_newest_day"] == 3
    assert online["amount_sum_micros_before_newest_day"] == 700_000_000


def test_the_three_moments_see_different_days(lake: Lake) -> None:
    lake.land([loan(1, id=1, birthday="1990-01-01", job_start_date="2015-01-01", loan_date="2016-06-01")])
    built = lake.build()
    row, online = built.loans()[1], built.customers()[1]
    assert (row["age"], row["years_on_the_job"]) == (26, 1)  # on the loan's own date
    assert (online["age"], online["years_on_the_job"]) == (31, 6)  # on the snapshot's
    asked = features_of_application(history_of(online), date(2026, 1, 1))
    assert asked == (36, 11, 1, 100.5, 1)  # on the day of the question, the loan counted in


def test_files_have_the_contracts_columns_in_order(lake: Lake) -> None:
    lake.land([loan(1)])
    built = lake.build()
    assert list(built.loans()[1]) == list(COLUMN_ROLES)
    assert list(built.customers()[5008827]) == list(CUSTOMER_COLUMNS)
    header, row = built.folder("features.csv").read_text().splitlines()
    assert (
        header
        == "loan_id,id,loan_date,age,years_on_the_job,nb_previous_loans,avg_amount_loans_previous,flag_own_car,status"
    )
    assert row == "1,5008827,2020-06-01,40,10,0,,1,0"


def history_of(online: dict[str, object]) -> CustomerHistory:
    names = CustomerHistory.__dataclass_fields__
    return CustomerHistory(**{n: online["loan_date" if n == "newest_loan_date" else n] for n in names})  # type: ignore[arg-type]


_days = st.integers(0, 40).map(lambda days: date(2020, 2, 10) + timedelta(days=days))
_loans = st.lists(
    st.tuples(_days, st.integers(1, 10**14), st.sampled_from([0, 1, None])),
    min_size=1,
    max_size=6,
)
_customers = st.lists(
    st.tuples(
        st.dates(date(1930, 1, 1), date(2001, 1, 1)),
        st.dates(date(2019, 1, 1), date(2020, 12, 31)) | st.just(date(3021, 9, 18)) | st.none(),
        st.sampled_from("YN"),
        _loans,
    ),
    min_size=CUSTOMERS_AT_ONCE,
    max_size=CUSTOMERS_AT_ONCE,
)


@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(customers=_customers)
def test_spark_says_what_the_oracle_says(lake: Lake, customers: list) -> None:  # type: ignore[type-arg]
    loans, number = [], 0
    for customer, (birthday, job, car, dated) in enumerate(customers):
        for day, micros, status in dated:
            number += 1
            loans.append(Loan(number * 7919 % 100_003, customer, day, birthday, job, micros, car, status))
    loans.sort(key=lambda each: each.loan_id)  # mixes customers and days
    built = build_oracle_loans(lake, loans)

    mine = {key: [each for each in loans if each.id == key] for key in range(len(customers))}
    expected = {each.loan_id: loan_features(each, mine[each.id]) for each in loans}
    assert built.manifest.counts.loans == len(loans)
    rows = built.loans()
    for key, features in expected.items():
        assert {name: rows[key][name] for name in FEATURE_NAMES} == features
    online = built.customers()
    newest = newest_loans(loans)
    assert online.keys() == newest.keys()
    for key, last in newest.items():
        assert online[key]["loan_id"] == last.loan_id
        assert {n: online[key][n] for n in FEATURE_NAMES} == loan_features(last, mine[key], AS_OF)
        tomorrow = AS_OF + timedelta(days=1)
        asked = Loan(10**9, key, tomorrow, last.birthday, last.job_start_date, 1, last.car, None)
        applied = features_of_application(history_of(online[key]), tomorrow)
        assert dict(zip(FEATURE_NAMES, applied, strict=True)) == loan_features(asked, [*mine[key], asked])


def build_oracle_loans(lake: Lake, loans: list[Loan]) -> Built:
    assert lake.storage.local_root is not None
    for old in lake.storage.local_root.glob("raw/loans/*/*"):
        old.unlink()
    lake.land(
        [
            loan(
                each.loan_id,
                id=each.id,
                loan_date=each.loan_date,
                birthday=each.birthday,
                job_start_date=each.job_start_date or "",
                loan_amount=f"{each.micros // 10**6}.{each.micros % 10**6:06d}",
                flag_own_car=each.car,
                status="" if each.status is None else each.status,
            )
            for each in loans
        ]
    )
    return lake.build()
