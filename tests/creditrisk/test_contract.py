"""The contract agrees with itself, and its fingerprint moves with what a feature is."""

from dataclasses import replace

import pytest

from creditrisk import contract
from creditrisk.contract import (
    COLUMN_ROLES,
    CUSTOMER_COLUMNS,
    CUSTOMER_DIGEST_COLUMNS,
    FEATURE_NAMES,
    FEATURES,
    RAW_COLUMNS,
    ROW_RULES,
    TRAINING_SET_COLUMNS,
    Feature,
    Role,
    contract_fingerprint,
)


def test_the_models_inputs_are_the_five_features_in_order() -> None:
    assert FEATURE_NAMES == (
        "age", "years_on_the_job", "nb_previous_loans", "avg_amount_loans_previous", "flag_own_car",
    )  # fmt: skip
    assert tuple(name for name, role in COLUMN_ROLES.items() if role is Role.INPUT) == FEATURE_NAMES


def test_ids_dates_labels_and_audit_columns_are_never_an_input() -> None:
    assert {name: role for name, role in COLUMN_ROLES.items() if role is not Role.INPUT} == {
        "loan_id": Role.KEY, "id": Role.KEY, "loan_date": Role.KEY, "status": Role.LABEL, "code_gender": Role.AUDIT,
    }  # fmt: skip
    assert "code_gender" not in TRAINING_SET_COLUMNS


def test_raw_columns_are_24_with_the_keys_required() -> None:
    assert len({column.name for column in RAW_COLUMNS}) == len(RAW_COLUMNS) == 24
    required = {column.name for column in RAW_COLUMNS if column.required}
    assert required == {"loan_id", "id", "flag_own_car", "birthday", "loan_date", "loan_amount"}


def test_rules_have_names_of_their_own_a_sentence_each_and_known_fields() -> None:
    assert len({rule.name for rule in ROW_RULES}) == len(ROW_RULES)
    names = {column.name for column in RAW_COLUMNS}
    for rule in ROW_RULES:
        assert rule.sentence.endswith(".")
        assert set(rule.fields) <= names


def test_the_customers_digest_leaves_out_the_mean_alone() -> None:
    assert set(CUSTOMER_COLUMNS) - set(CUSTOMER_DIGEST_COLUMNS) == {"avg_amount_loans_previous"}


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_histogram_edges_ascend_within_the_bounds(feature: Feature) -> None:
    edges = feature.histogram_edges
    assert list(edges) == sorted(set(edges))
    assert feature.lower <= edges[0]
    assert edges[-1] <= feature.upper


@pytest.mark.parametrize(
    "change",
    [{"name": "years"}, {"type": "double"}, {"upper": 99}, {"nullable": True}, {"meaning": "another"}],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_changes_with_a_feature(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contract_fingerprint.__wrapped__()
    assert before == contract_fingerprint()
    monkeypatch.setattr(contract, "FEATURES", (replace(FEATURES[0], **change), *FEATURES[1:]))  # type: ignore[arg-type]
    assert contract_fingerprint.__wrapped__() != before


def test_the_fingerprint_changes_with_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contract_fingerprint.__wrapped__()
    monkeypatch.setattr(contract, "FEATURES", FEATURES[::-1])
    assert contract_fingerprint.__wrapped__() != before
