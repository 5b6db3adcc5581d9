"""Each row rule with a row that breaks only it, and rows that break several."""

from datetime import date

import pytest

from creditrisk.contract import ROW_RULES
from spark_jobs import intake, session
from tests.spark_jobs.landing import AS_OF, NAMES, Lake, csv_text, line, loan

BREAKS_ONE = {
    "unparsable": [
        dict(job_start_date="2016-11-31"),
        dict(job_start_date="1987-2-3"),
        dict(job_start_date="2019-01-01T10:00:00"),
        dict(job_start_date=" 2019-01-01"),
        dict(amt_income_total="Infinity"),
        dict(amt_income_total="NaN"),
        dict(amt_income_total="1e999"),
        dict(amt_income_total="12d"),
        dict(cnt_children="1.0"),
        dict(cnt_children=" 1"),
        dict(cnt_children="99999999999999999999"),
        dict(birthday="1987/09/25"),
        dict(loan_amount="1_5"),
        dict(id="x"),
        dict(loan_date="2020-02-30"),
    ],
    "missing_key": [dict(id=""), dict(loan_date="")],
    "missing_input": [dict(birthday=""), dict(flag_own_car=""), dict(loan_amount="")],
    "flag_not_yes_or_no": [dict(flag_own_car="X"), dict(flag_own_realty="y"), dict(flag_own_car=" Y")],
    "amount_not_positive": [
        dict(loan_amount="0"),
        dict(loan_amount="-25.5"),
        dict(loan_amount="0.0000004"),
        dict(loan_amount="10000000000.000001"),
        dict(loan_amount="1e30"),
    ],
    "age_out_of_range": [
        dict(birthday="2002-06-07", job_start_date=""),  # a day short of 18 years of 365 days
        dict(birthday="1919-06-27", job_start_date=""),  # 101 years of 365 days
    ],
    "job_before_working_age": [dict(job_start_date="1994-05-16")],
    "loan_date_too_early": [dict(loan_date="1989-12-31", birthday="1960-01-01", job_start_date="")],
    "status_not_zero_or_one": [dict(status="C"), dict(status="2"), dict(status="0.0")],
}
JUST_GOOD = [
    dict(birthday="2002-06-06", job_start_date=""),
    dict(birthday="1919-06-28"),
    dict(job_start_date="1994-05-17"),
    dict(loan_date="1990-01-01", birthday="1960-01-01", job_start_date=""),
    dict(loan_amount="10000000000"),
    dict(loan_amount="0.000001"),
    dict(loan_amount="1.5e2"),
    dict(cnt_children="+1"),
    dict(cnt_children="007"),
    dict(flag_own_realty="", code_gender="", status="", job_start_date="", cnt_fam_members=""),
    dict(loan_date=str(AS_OF)),
]


def test_a_row_that_breaks_one_rule_is_refused_for_that_rule_alone(lake: Lake) -> None:
    rows, expected = [], {}
    for rule, changes in BREAKS_ONE.items():
        for change in changes:
            row = loan(len(rows) + 1, **change)
            rows.append(row)
            expected[line(row)] = {rule}
    missing_id = loan(0) | {"loan_id": ""}
    expected[line(missing_id)] = {"missing_key"}
    conflict = [loan(500, loan_amount=1), loan(500, loan_amount=2)]
    expected |= {line(row): {"conflicting_loan_id"} for row in conflict}
    good = [loan(1000 + number, **change) for number, change in enumerate(JUST_GOOD)]
    lake.land([*rows, missing_id, *conflict, *good])
    short, long = line(loan(600)).rpartition(",")[0], line(loan(601)) + ","
    lake.land("\n".join([",".join(NAMES), short, long, ""]), name="broken.csv")
    expected |= {short: {"malformed_line"}, long: {"malformed_line"}}
    # In the future is after the landing day.
    early = date(2020, 5, 31)
    ahead = loan(700, loan_date="2020-06-01")
    unborn = loan(701, loan_date="2020-05-01", birthday="2020-06-01", job_start_date="3021-09-18")
    lake.land([ahead, unborn], early)
    expected |= {
        line(ahead): {"loan_date_in_future"},
        line(unborn): {
            "birthday_in_future",
            "age_out_of_range",
        },  # who is not born has no age between 18 and 100
    }
    built = lake.build()
    assert built.reasons() == expected
    assert built.loans().keys() == {int(row["loan_id"]) for row in good}
    assert {rule for rules in expected.values() for rule in rules} == {rule.name for rule in ROW_RULES}
    counts = built.manifest.counts
    assert (counts.rows_in, counts.kept, counts.quarantined) == (
        len(expected) + len(good),
        len(good),
        len(expected),
    )
    by_rule = built.manifest.quarantined_by_rule
    assert by_rule == {
        rule.name: sum(rule.name in rules for rules in expected.values()) for rule in ROW_RULES
    }


def test_a_row_carries_all_its_reasons_with_field_and_value(lake: Lake) -> None:
    bad = loan(1, flag_own_car="X", loan_amount="-1", status="7", cnt_children="many")
    lake.land([bad, loan(2)])
    (row,) = lake.build().quarantined()
    assert row["raw"] == line(bad)
    assert row["source"] == lake.storage.url_of("raw/loans/2020-12-31/loans.csv")
    assert [(each["rule"], each["field"], each["value"]) for each in row["reasons"]] == [
        ("unparsable", "cnt_children", "many"),
        ("flag_not_yes_or_no", "flag_own_car", "X"),
        ("amount_not_positive", "loan_amount", "-1"),
        ("status_not_zero_or_one", "status", "7"),
    ]


def test_identical_rows_are_kept_once_and_differing_ones_not_at_all(lake: Lake) -> None:
    lake.land([loan(1), loan(1), loan(2), loan(2, code_gender="M"), loan(3)])
    lake.land([loan(1, amt_income_total="126000"), loan(3)], date(2020, 12, 30))
    built = lake.build()
    assert built.loans().keys() == {1, 3}
    counts = built.manifest.counts
    assert (counts.rows_in, counts.kept, counts.repeated, counts.quarantined, counts.loans) == (7, 5, 3, 2, 2)
    assert built.loans()[3]["nb_previous_loans"] == 1


def test_a_value_that_moved_to_the_next_column_makes_another_row(lake: Lake) -> None:
    lake.land(
        [
            loan(1, name_income_type="Working", name_education_type=""),
            loan(1, name_income_type="", name_education_type="Working"),
        ]
    )
    assert lake.build().manifest.quarantined_by_rule == {"conflicting_loan_id": 2}


def test_many_rows_in_question_come_to_what_few_do(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [loan(1), loan(2), loan(2, code_gender="M"), loan(3, loan_amount="-1"), loan(3), loan(4), loan(5)]
    lake.land(csv_text(rows) + line(loan(4, occupation_type='""')) + "\n" + line(loan(5, loan_amount="2e0")))
    few = lake.build()
    assert few.loans().keys() == {1, 4}
    assert few.manifest.counts.repeated == 1
    assert few.manifest.quarantined_by_rule == {"conflicting_loan_id": 6, "amount_not_positive": 1}
    monkeypatch.setattr(session, "_ROWS_WORTH_COMPILING", 0)
    monkeypatch.setattr(intake, "_IDS_IN_A_TASK", 0)
    lake.spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    try:
        many = lake.build()
    finally:
        lake.spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")
    assert (many.id, many.manifest.counts) == (few.id, few.manifest.counts)
