"""Model specs: what to fit, as validated data.

A spec is named (``forest``, ``boosting``: the defaults below) or written as JSON, such as
``{"estimator": "forest", "trees": 200, "depth": 6}``.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits

from creditrisk.errors import SpecInvalid
from training.dataset import Loans

DEEPEST = 10
LARGEST_SEED = 2**31 - 1


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    class_weight: Literal["balanced"] | None = "balanced"
    """Late loans are rare: weights make both classes count alike. Calibration sets the level right again."""
    seed: int = Field(7, ge=0, le=LARGEST_SEED)


class ForestSpec(_Spec):
    """A random forest."""

    estimator: Literal["forest"] = "forest"
    trees: int = Field(100, ge=1, le=500)
    depth: int = Field(8, ge=1, le=DEEPEST)
    smallest_leaf: int = Field(50, ge=1)
    rows_per_tree: float | None = Field(None, gt=0.0, le=1.0)
    """Share of the rows that a tree is fitted on; None draws as many as there are."""

    def build(self) -> Any:
        """The unfitted estimator."""
        return RandomForestClassifier(
            n_estimators=self.trees,
            max_depth=self.depth,
            min_samples_leaf=self.smallest_leaf,
            max_samples=self.rows_per_tree,
            class_weight=self.class_weight,
            random_state=self.seed,
            n_jobs=-1,
        )


class BoostingSpec(_Spec):
    """Histogram gradient boosting."""

    estimator: Literal["boosting"] = "boosting"
    rounds: int = Field(100, ge=1, le=500)
    depth: int = Field(4, ge=1, le=DEEPEST)
    learning_rate: float = Field(0.05, gt=0.0, le=1.0)
    smallest_leaf: int = Field(200, ge=1)

    def build(self) -> Any:
        """The unfitted estimator. It stops early on nothing: that would judge customers by their own loans."""
        return HistGradientBoostingClassifier(
            max_iter=self.rounds,
            max_depth=self.depth,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.smallest_leaf,
            class_weight=self.class_weight,
            early_stopping=False,
            random_state=self.seed,
        )


ModelSpec = Annotated[ForestSpec | BoostingSpec, Field(discriminator="estimator")]
NAMED_SPECS = ("forest", "boosting")
_ADAPTER: TypeAdapter[ForestSpec | BoostingSpec] = TypeAdapter(ModelSpec)


def parse_spec(text: str, seed: int | None = None) -> ForestSpec | BoostingSpec:
    """A spec by name or from JSON; ``seed``, where given, is put in.

    Raises:
        SpecInvalid: it breaks a rule; the message names each field, its value and the rule.
    """
    text = text.strip()
    if text in NAMED_SPECS:
        values: Any = {"estimator": text}
    elif text.startswith("{"):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise SpecInvalid(f"spec: not JSON: {error}") from None
    else:
        raise SpecInvalid(f"spec: {text!r}: neither one of {', '.join(NAMED_SPECS)} nor a JSON object")
    return validated_spec(values if seed is None else {**values, "seed": seed})


def validated_spec(values: Any) -> ForestSpec | BoostingSpec:
    """A spec from plain data, such as a manifest's.

    Raises:
        SpecInvalid: it breaks a rule.
    """
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'estimator'}:"
            f" {problem['input']!r}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise SpecInvalid(f"spec: {problems}") from None


def fit(spec: ForestSpec | BoostingSpec, loans: Loans) -> Any:
    """The spec's estimator, fitted: bit for bit the same for the same loans, on any number of cores.

    A forest's trees are independent of the threads that fit them. Boosting adds up gradients in as many parts
    as there are threads, so it gets one. What comes back predicts on one thread: with more, the order in
    which the trees are added up changes from call to call.
    """
    estimator = spec.build()
    with threadpool_limits(limits=1):
        estimator.fit(loans.features, loans.late)
    if isinstance(estimator, RandomForestClassifier):
        estimator.set_params(n_jobs=1)
    return estimator
