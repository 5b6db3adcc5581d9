"""The sample loans file: its schema, order and mess, its reproducibility, and what a model can find in it."""

import csv
import gzip
import io
import re
import tracemalloc
from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from creditrisk.contract import (
    AMOUNT_UNIT,
    RAW_COLUMNS,
    ROW_RULES,
    YOUNGEST_AGE,
    YOUNGEST_WORKING_AGE,
    RawType,
)
from creditrisk.features import full_years
from local import sample_loans
from local.generate_loans import generate_loans, main
from local.sample_customers import draw_customers
from local.sample_loans import draw_loans, log_odds_of_being_late

NEWEST = date(2026, 11, 23)
NAMES = [column.name for column in RAW_COLUMNS]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "loans.csv"
    generate_loans(path, 400, 730, 7, NEWEST)
    return path


@pytest.fixture(scope="module")
def lines(sample: Path) -> list[list[str]]:
    with sample.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def good(lines: list[list[str]]) -> list[dict[str, str]]:
    rows = [dict(zip(NAMES, line, strict=True)) for line in lines[1:] if len(line) == len(NAMES)]
    times = Counter(row["loan_id"] for row in rows)
    return [row for row in rows if times[row["loan_id"]] == 1 and not broken_rules(row)]


def broken_rules(row: dict[str, str]) -> list[str]:
    """The row rules that a generated row breaks by itself; written apart from Spark's, for this file's values."""
    patterns = {
        RawType.INTEGER: r"[+-]?\d+",
        RawType.NUMBER: r"-?\d+(\.\d+)?",
        RawType.AMOUNT: r"-?\d+(\.\d{1,6})?",
        RawType.TEXT: r'[^"]*',
    }

    def is_readable(type_: RawType, text: str) -> bool:
        if type_ is not RawType.DATE:
            return re.fullmatch(patterns[type_], text) is not None
        try:
            return str(date.fromisoformat(text)) == text
        except ValueError:
            return False

    broken = set()
    unreadable = {c.name for c in RAW_COLUMNS if row[c.name] and not is_readable(c.type, row[c.name])}
    if unreadable:
        broken.add("unparsable")
    if not all(row[name] for name in ("loan_id", "id", "loan_date")):
        broken.add("missing_key")
    if not all(row[name] for name in ("birthday", "loan_amount", "flag_own_car")):
        broken.add("missing_input")
    if {row["flag_own_car"], row["flag_own_realty"]} - {"Y", "N"}:
        broken.add("flag_not_yes_or_no")
    if row["loan_amount"] and not 0 < float(row["loan_amount"]) <= 10**10:
        broken.add("amount_not_positive")
    if row["status"] not in ("0", "1", ""):
        broken.add("status_not_zero_or_one")
    if row["birthday"]:
        born, loaned = date.fromisoformat(row["birthday"]), date.fromisoformat(row["loan_date"])
        if not YOUNGEST_AGE <= full_years(born, loaned) <= 100 or (loaned - born).days < 18 * 365.25:
            broken.add("age_out_of_range")
        if "job_start_date" not in unreadable:
            working = born.replace(day=28).replace(year=born.year + YOUNGEST_WORKING_AGE)
            if date.fromisoformat(row["job_start_date"]) <= working + timedelta(days=4):
                broken.add("job_before_working_age")
        if loaned < date(1990, 1, 1):
            broken.add("loan_date_too_early")
        if loaned > NEWEST:
            broken.add("loan_date_in_future")
    return sorted(broken)


def test_the_header_is_the_contracts_24_columns(lines: list[list[str]]) -> None:
    assert lines[0] == NAMES
    assert len(NAMES) == 24


def test_every_bad_row_breaks_exactly_the_rule_it_is_counted_for(
    lines: list[list[str]], tmp_path: Path
) -> None:
    made = generate_loans(tmp_path / "again.csv", 400, 730, 7, NEWEST)
    rows = [dict(zip(NAMES, line, strict=False)) for line in lines[1:]]
    ids = Counter(row["loan_id"] for row in rows)
    found: Counter[str] = Counter()
    for line, row in zip(lines[1:], rows, strict=True):
        if len(line) != len(NAMES):
            found["malformed_line"] += 1
            continue
        broken = broken_rules(row) + ["conflicting_loan_id"] * (ids[row["loan_id"]] > 1)
        assert len(broken) <= 1, row
        found.update(broken)
    assert found == made.bad_rows
    assert sum(found.values()) == 13
    assert set(found) < {rule.name for rule in ROW_RULES}
    assert len(rows) == made.rows == made.loans + 13


def test_rows_are_ordered_by_day_and_the_newest_is_the_one_asked_for(good: list[dict[str, str]]) -> None:
    days = [row["loan_date"] for row in good]
    assert days == sorted(days)
    assert days[-1] == "2026-11-23"
    assert days[0] >= "2024-11-24"
    for day in set(days):
        of_the_day = [int(row["loan_id"]) for row in good if row["loan_date"] == day]
        assert of_the_day == sorted(of_the_day)


def test_loan_ids_are_unique_and_say_nothing_of_time(good: list[dict[str, str]]) -> None:
    ids = [int(row["loan_id"]) for row in good]
    assert sorted(ids) == list(range(1000, 1000 + len(good)))
    by_customer: dict[str, list[int]] = defaultdict(list)
    for row in good:
        by_customer[row["id"]].append(int(row["loan_id"]))
    assert len(by_customer) == 400
    assert min(map(int, by_customer)) == 5_008_804
    assert sum(ids == sorted(ids) for ids in by_customer.values() if len(ids) > 4) < 20


def test_customers_have_about_21_loans_each_and_some_days_with_several(good: list[dict[str, str]]) -> None:
    loans = Counter(row["id"] for row in good)
    assert 19 < np.mean(list(loans.values())) < 24
    assert 1 <= min(loans.values()) <= 3
    assert 50 < max(loans.values()) <= 61
    ties = sum(n > 1 for n in Counter((row["id"], row["loan_date"]) for row in good).values())
    assert 0.01 < ties / len(good) < 0.04


def test_the_mess_of_the_real_file_is_there(good: list[dict[str, str]]) -> None:
    without_job = [row for row in good if row["job_start_date"] == "3021-09-18"]
    assert 0.10 < len(without_job) / len(good) < 0.24
    assert {row["days_employed"] for row in without_job} == {"365243"}
    assert {row["name_income_type"] for row in without_job} == {"Pensioner"}
    assert {row["occupation_type"] for row in without_job} == {""}
    later = [row for row in good if row["loan_date"] < row["job_start_date"] < "3000"]
    assert 0.05 < len(later) / len(good) < 0.25
    assert 0.2 < sum(not row["occupation_type"] for row in good) / len(good) < 0.45
    assert all(re.fullmatch(r"-\d+", row["days_birth"]) for row in good)
    assert all(re.fullmatch(r"\d+\.0", row["cnt_fam_members"]) for row in good)
    assert {row["flag_own_car"] for row in good} == {"N", "Y"}


def test_amounts_start_at_100_with_a_long_tail_and_six_decimals(good: list[dict[str, str]]) -> None:
    amounts = np.array([float(row["loan_amount"]) for row in good])
    assert amounts.min() >= 100
    assert 115 < np.median(amounts) < 121
    assert 230 < np.quantile(amounts, 0.99) < 290
    assert max(len(row["loan_amount"].partition(".")[2]) for row in good) == 6


def test_a_customers_own_data_are_the_same_in_all_their_rows(good: list[dict[str, str]]) -> None:
    own = [name for name in NAMES if name not in ("loan_id", "status", "loan_date", "loan_amount")]
    assert len({tuple(row[name] for name in own) for row in good}) == 400


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(sample: Path, tmp_path: Path) -> None:
    generate_loans(tmp_path / "same.csv", 400, 730, 7, NEWEST)
    generate_loans(tmp_path / "other.csv", 400, 730, 8, NEWEST)
    assert (tmp_path / "same.csv").read_bytes() == sample.read_bytes()
    assert (tmp_path / "other.csv").read_bytes() != sample.read_bytes()


def test_a_name_in_gz_gives_the_same_file_packed_with_no_time_in_it(sample: Path, tmp_path: Path) -> None:
    generate_loans(tmp_path / "a.csv.gz", 400, 730, 7, NEWEST)
    generate_loans(tmp_path / "b.csv.gz", 400, 730, 7, NEWEST)
    packed = (tmp_path / "a.csv.gz").read_bytes()
    assert packed == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress(packed) == sample.read_bytes()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("local.generate_loans.insert_bad_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate_loans(tmp_path / "loans.csv", 10, 30, 7, NEWEST)
    assert list(tmp_path.iterdir()) == []


def test_without_bad_rows_every_row_is_good(tmp_path: Path) -> None:
    made = generate_loans(tmp_path / "clean.csv", 50, 90, 7, NEWEST, with_bad_rows=False)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "clean.csv").read_text())))
    assert made.bad_rows == {}
    assert made.rows == made.loans == len(rows)
    assert [row for row in rows if broken_rules(row)] == []


def test_one_customer_and_one_day_make_a_file_too(tmp_path: Path) -> None:
    made = generate_loans(tmp_path / "tiny.csv", 1, 1, 7, NEWEST, with_bad_rows=False)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tiny.csv").read_text())))
    assert {row["loan_date"] for row in rows} == {"2026-11-23"}
    assert len(rows) == made.loans >= 1


def test_the_status_follows_the_features_of_the_loans_own_date(good: list[dict[str, str]]) -> None:
    """By a plain walk over each customer's loans: the generator's log odds must rank its own labels."""
    by_customer: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in sorted(good, key=lambda row: (row["loan_date"], int(row["loan_id"]))):
        by_customer[row["id"]].append(row)
    score, late = [], []
    for rows in by_customer.values():
        for number, row in enumerate(rows):
            day = date.fromisoformat(row["loan_date"])
            before = [float(r["loan_amount"]) for r in rows if r["loan_date"] < row["loan_date"]]
            started = date.fromisoformat(row["job_start_date"])
            odds = log_odds_of_being_late(
                age=np.array([full_years(date.fromisoformat(row["birthday"]), day)]),
                years_on_the_job=np.array([np.nan if started > day else full_years(started, day)]),
                nb_previous_loans=np.array([number]),
                mean_amount=np.array([np.mean(before) if before else np.nan]),
                own_car=np.array([int(row["flag_own_car"] == "Y")]),
            )
            score.append(float(odds[0]))
            late.append(int(row["status"]))
    ranks = np.argsort(np.argsort(score)) + 1
    positives = np.array(late) == 1
    area = (ranks[positives].sum() - positives.sum() * (positives.sum() + 1) / 2) / (
        positives.sum() * (~positives).sum()
    )
    assert 0.70 < area < 0.85
    assert 0.015 < np.mean(late) < 0.04


def test_blocks_of_days_carry_each_customers_past_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_loans, "BLOCK_LOANS", 500)
    customers = draw_customers(np.random.default_rng(3), 200, 365, NEWEST)
    blocks = list(draw_loans(np.random.default_rng(4), customers, 365, NEWEST))
    assert len(blocks) > 5
    assert all(a.day.max() < b.day.min() for a, b in pairwise(blocks))
    who = np.concatenate([block.customer for block in blocks])
    assert np.array_equal(np.bincount(who, minlength=200), customers.loan_count)
    ids = np.concatenate([block.loan_id for block in blocks])
    assert np.array_equal(np.sort(ids), np.arange(1000, 1000 + len(ids)))
    owner = np.searchsorted(customers.first_loan_id, ids, side="right") - 1
    assert np.array_equal(owner, who)
    assert all((block.amount_micros > 100 * AMOUNT_UNIT).all() for block in blocks)


def test_memory_grows_with_the_customers_and_not_with_the_loans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the loans of as many customers must not take twice the memory."""
    monkeypatch.setattr(sample_loans, "BLOCK_LOANS", 2_000)
    monkeypatch.setattr("local.generate_loans.WRITTEN_AT_ONCE", 500)
    peaks = []
    for most_loans in (6, 60):
        monkeypatch.setattr("local.sample_customers.MOST_LOANS", most_loans)
        tracemalloc.start()
        made = generate_loans(tmp_path / "loans.csv", 2_000, 3_000, 7, NEWEST)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert made.loans > 35_000
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize(
    ("customers", "days", "says"),
    [(0, 30, "customers: 0"), (5, 0, "days: 0"), (5, 14_000, "days: 14000")],
)
def test_sizes_that_make_no_sense_are_refused(tmp_path: Path, customers: int, days: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        generate_loans(tmp_path / "loans.csv", customers, days, 7, NEWEST)


def test_the_command_says_what_it_made_and_defaults_to_yesterday(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--customers", "20", "--days", "60", "--output", str(tmp_path / "loans.csv")])
    said = capsys.readouterr().err
    yesterday = date.today() - timedelta(days=1)  # noqa: DTZ011 - the day of this machine is meant
    assert f"of 20 customers, newest {yesterday}" in said
    assert "bad rows, conflicting_loan_id: 2" in said
    assert (tmp_path / "loans.csv").read_text().splitlines()[-1].split(",")[-2] == str(yesterday)
