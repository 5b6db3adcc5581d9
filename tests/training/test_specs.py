"""Specs are data: each one fits, is saved and loaded; a bad one is refused by field, value and rule."""

import io
import json
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.errors import SpecInvalid
from creditrisk.scoring import flatten
from training.dataset import Loans
from training.fitting import calibrated
from training.specs import NAMED_SPECS, BoostingSpec, ForestSpec, fit, parse_spec, validated_spec

SMALL = {
    "forest": '{"estimator": "forest", "trees": 5, "depth": 3}',
    "boosting": '{"estimator": "boosting", "rounds": 5, "depth": 3, "smallest_leaf": 20}',
}


def test_the_default_forest() -> None:
    spec = parse_spec("forest")
    assert spec == ForestSpec(trees=100, depth=8, seed=7)
    assert parse_spec("forest", 11) == ForestSpec(seed=11)


def test_json_specs_keep_their_own_seed_unless_another_is_given() -> None:
    text = '{"estimator": "boosting", "seed": 3, "learning_rate": 0.1}'
    assert parse_spec(text) == BoostingSpec(seed=3, learning_rate=0.1)
    assert parse_spec(text, 4) == BoostingSpec(seed=4, learning_rate=0.1)


@pytest.mark.parametrize("name", NAMED_SPECS)
def test_a_spec_is_read_back_from_its_own_data(name: str) -> None:
    spec = parse_spec(name, 5)
    assert validated_spec(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize(
    ("text", "field", "value", "rule"),
    [
        ('{"estimator": "forest", "trees": 0}', "trees", "0", "greater than or equal to 1"),
        ('{"estimator": "forest", "depth": 11}', "depth", "11", "less than or equal to 10"),
        ('{"estimator": "boosting", "depth": 11}', "depth", "11", "less than or equal to 10"),
        ('{"estimator": "boosting", "learning_rate": 0}', "learning_rate", "0", "greater than 0"),
        ('{"estimator": "forest", "depth": "8"}', "depth", "'8'", "valid integer"),
        ('{"estimator": "forest", "seed": -1}', "seed", "-1", "greater than or equal to 0"),
        ('{"estimator": "forest", "tree": 5}', "tree", "5", "Extra inputs are not permitted"),
        ('{"estimator": "forest", "class_weight": "heavy"}', "class_weight", "'heavy'", "'balanced'"),
        ('{"estimator": "svm"}', "estimator", "svm", "'forest', 'boosting'"),
        ('{"trees": 5}', "estimator", "trees", "discriminator 'estimator'"),
        ('{"estimator": "forest",', "spec", "", "not JSON"),
        ("svm", "spec", "'svm'", "neither one of forest, boosting nor a JSON object"),
    ],
)
def test_a_bad_spec_is_refused(text: str, field: str, value: str, rule: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(text)
    message = str(caught.value)
    assert message.startswith("spec: ")
    assert field in message
    assert value in message
    assert rule in message


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(SpecInvalid, match=r"trees: 0: .*; depth: 99: "):
        parse_spec('{"estimator": "forest", "trees": 0, "depth": 99}')


@pytest.mark.parametrize("name", SMALL)
def test_a_spec_fits_is_saved_and_loaded(name: str, loans: Loans) -> None:
    assert np.isnan(loans.features).any()  # missing values are scored as they are
    model = calibrated(fit(parse_spec(SMALL[name]), loans), loans)
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    loaded: Any = joblib.load(io.BytesIO(buffer.getvalue()))
    probabilities = loaded.predict_proba(loans.features)[:, 1]
    np.testing.assert_array_equal(probabilities, model.predict_proba(loans.features)[:, 1])
    assert len(np.unique(probabilities)) > 5
    np.testing.assert_allclose(flatten(loaded).probabilities(loans.features), probabilities, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_a_fit_is_the_same_bit_for_bit_and_another_seed_is_not(name: str, loans: Loans) -> None:
    # Boosting draws nothing on so few rows: it is the forest's seed that matters.
    first, second = (fit(parse_spec(SMALL[name]), loans).predict_proba(loans.features) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    if name == "forest":
        other = fit(parse_spec(SMALL[name], 8), loans).predict_proba(loans.features)
        assert (other != first).any()


@pytest.mark.parametrize("name", SMALL)
def test_only_the_five_inputs_matter(name: str, loans: Loans) -> None:
    estimator = fit(parse_spec(SMALL[name]), loans)
    assert estimator.n_features_in_ == len(FEATURE_NAMES)
    relabelled = replace(
        loans, loan_ids=loans.loan_ids[::-1], customers=loans.customers[::-1], genders=loans.genders[::-1]
    )
    again = fit(parse_spec(SMALL[name]), relabelled)
    np.testing.assert_array_equal(
        again.predict_proba(loans.features), estimator.predict_proba(loans.features)
    )


def test_a_fitted_forest_predicts_on_one_thread(loans: Loans) -> None:
    assert fit(parse_spec(SMALL["forest"]), loans).n_jobs == 1
