"""The sample market's customers as they were on any day of the past: their loans one after the other, with features.

Only for a history that is made up afterwards. What the feature job says of the same loans is the truth, and
``local.demo_history`` holds this against it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from creditrisk.contract import AMOUNT_UNIT, COLUMN_ROLES, RAW_COLUMNS
from creditrisk.errors import SnapshotMissing
from creditrisk.features import (
    CustomerHistory,
    FeatureRow,
    features_of_application,
    full_years,
    mean_amount,
    years_on_the_job,
)
from creditrisk.snapshots import SnapshotId
from creditrisk.storage import Storage

RAW_NAMES = tuple(column.name for column in RAW_COLUMNS)
FLAGS = {"N": 0, "Y": 1}
DATE, LABEL = list(COLUMN_ROLES).index("loan_date"), list(COLUMN_ROLES).index("status")


@dataclass(slots=True)
class Borrower:
    """A customer with the loans taken so far; amounts are whole millionths."""

    raw: Mapping[str, str]
    """Of the newest loan, as it landed."""
    birthday: date
    job_start_date: date
    loan_id: int = 0
    newest_loan_date: date = date.min
    nb_previous_loans: int = 0
    mean_before: float | None = None
    loan_count: int = 0
    amount_sum: int = 0
    count_before_newest_day: int = 0
    sum_before_newest_day: int = 0

    @property
    def customer(self) -> int:
        """The id."""
        return int(self.raw["id"])

    @property
    def own_car(self) -> int:
        """1 for yes."""
        return FLAGS[self.raw["flag_own_car"]]

    def take(self, loan_id: int, day: date, amount: int) -> None:
        """Take a loan: the next one, by day and then by its id."""
        if day != self.newest_loan_date:
            self.count_before_newest_day, self.sum_before_newest_day = self.loan_count, self.amount_sum
        self.nb_previous_loans = self.loan_count
        self.mean_before = mean_amount(self.sum_before_newest_day, self.count_before_newest_day)
        self.loan_id, self.newest_loan_date = loan_id, day
        self.loan_count += 1
        self.amount_sum += amount

    def features_as_of(self, day: date) -> FeatureRow:
        """Of the newest loan, with the age and the years on the job of a day."""
        return (
            full_years(self.birthday, day),
            years_on_the_job(self.job_start_date, day),
            self.nb_previous_loans,
            self.mean_before,
            self.own_car,
        )

    def features_of_application(self, day: date) -> FeatureRow:
        """Of a loan that is applied for on a day."""
        return features_of_application(
            CustomerHistory(self.birthday, self.job_start_date, self.own_car, *self._history()), day
        )

    def online_row(self, as_of: date) -> tuple[object, ...]:
        """As a snapshot has it: ``CUSTOMER_COLUMNS``."""
        newest = (self.customer, self.loan_id, self.newest_loan_date)
        _, *history = self._history()
        return (*newest, *self.features_as_of(as_of), self.birthday, self.job_start_date, *history)

    def _history(self) -> tuple[date, int, int, int, int]:
        return (
            self.newest_loan_date,
            self.loan_count,
            self.amount_sum,
            self.count_before_newest_day,
            self.sum_before_newest_day,
        )


@dataclass(slots=True)
class LoanBook:
    """Everybody's loans up to a day, which is moved on by whoever tells the story."""

    waiting: dict[date, list[Mapping[str, str]]]
    """Loans that have landed, as raw rows, by the day they are of."""
    borrowers: dict[int, Borrower] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)
    """A row a loan, as a snapshot has it: ``COLUMN_ROLES``, by day."""

    @classmethod
    def of_market(cls, lake: Storage, snapshot: SnapshotId) -> "LoanBook":
        """The good loans of a snapshot, none of them taken yet.

        Raises:
            SnapshotMissing: there is no such snapshot, or its loans did not land as CSV.
        """
        waiting: dict[date, list[Mapping[str, str]]] = {}
        for row in _landed_rows(lake, snapshot):
            waiting.setdefault(date.fromisoformat(row["loan_date"]), []).append(row)
        return cls(waiting)

    def take_day(self, day: date, more: Iterable[Mapping[str, str]] = ()) -> None:
        """Have the loans of a day taken, those that waited and some more, in the order of their ids."""
        loans = [*self.waiting.pop(day, ()), *more]
        for raw in sorted(loans, key=lambda row: int(row["loan_id"])):
            borrower = self.borrowers.get(int(raw["id"]))
            if borrower is None:
                birthday, job_start = (
                    date.fromisoformat(raw[name]) for name in ("birthday", "job_start_date")
                )
                borrower = self.borrowers[int(raw["id"])] = Borrower(raw, birthday, job_start)
            borrower.raw = raw
            borrower.take(int(raw["loan_id"]), day, micros(raw["loan_amount"]))
            status = int(raw["status"]) if raw["status"] else None
            self.rows.append(
                (
                    borrower.loan_id,
                    borrower.customer,
                    day,
                    *borrower.features_as_of(day),
                    status,
                    raw["code_gender"],
                )
            )

    def take_until(self, day: date) -> None:
        """Have all loans up to a day taken."""
        for each in sorted(each for each in self.waiting if each <= day):
            self.take_day(each)


def micros(amount: str) -> int:
    """An amount's text as whole millionths."""
    whole: int = round(float(amount) * AMOUNT_UNIT)
    return whole


def _landed_rows(lake: Storage, snapshot: SnapshotId) -> Iterator[Mapping[str, str]]:
    """The raw rows of a snapshot's loans, each once."""
    import duckdb

    root = lake.local_root
    if root is None:
        raise SnapshotMissing(f"lake {lake.url}: not on this machine's disk, where the sample market is")
    files = [str(root / key) for key in lake.keys("raw/loans") if key.endswith((".csv", ".csv.gz"))]
    good = str(root / snapshot.folder / "loans" / "*.parquet")
    names = ", ".join(f'any_value("{name}") AS "{name}"' for name in RAW_NAMES if name != "loan_id")
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT loan_id, {names} FROM read_csv(?, header = true, all_varchar = true, quote = '', "  # noqa: S608
            "ignore_errors = true, null_padding = false) AS raw SEMI JOIN read_parquet(?) AS good "
            "ON raw.loan_id = good.loan_id::varchar GROUP BY loan_id",
            [files, good],
        ).fetchall()
        ((found,),) = connection.execute("SELECT count(*) FROM read_parquet(?)", [good]).fetchall()
    if len(rows) != found:
        raise SnapshotMissing(
            f"snapshot {snapshot}: {len(rows)} of its {found} loans were found among {files}"
        )
    columns = ("loan_id", *(name for name in RAW_NAMES if name != "loan_id"))
    return (dict(zip(columns, (value or "" for value in row), strict=True)) for row in rows)
