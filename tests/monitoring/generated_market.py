"""A market of generated customers, whose loans go on for months after a model was made: what healthy decisions look like.

The loans are those of the sample generator, the features are computed by the contract's definitions, the model is a real
one of the training set's sides, and decisions are about evenly drawn customers, with the features of the night before.
"""

import io
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator

from creditrisk.contract import AMOUNT_UNIT, DAYS_PER_YEAR
from creditrisk.registry import MODEL_FILE, REFERENCE_FILE, TRAINING_SET_FILE, ModelManifest
from creditrisk.storage import Storage
from local.sample_customers import Customers, day_number, draw_customers
from local.sample_loans import draw_loans
from tests.planted_versions import plant, reference_file
from training.dataset import Loans, encode_training_set
from training.split import Side, split_loans

FloatArray = npt.NDArray[np.float64]


@dataclass
class GeneratedMarket:
    """Customers and their loans of some days."""

    newest: date
    """The date of the newest loan."""
    customers: int = 3000
    days: int = 760
    seed: int = 7
    people: Customers = field(init=False)
    loans: Any = field(init=False)
    """Arrays by name, ordered by customer, then time."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.people = draw_customers(rng, self.customers, self.days, self.newest)
        blocks = list(draw_loans(rng, self.people, self.days, self.newest))
        columns = {
            name: np.concatenate([getattr(block, name) for block in blocks])
            for name in ("customer", "loan_id", "day", "amount_micros", "late")
        }
        order = np.lexsort((columns["loan_id"], columns["day"], columns["customer"]))
        self.loans = {name: values[order] for name, values in columns.items()}

    def features(self, until: date) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Of every loan up to a day, as of its own date: shape (n, 5); and which of the loans those are."""
        used = np.flatnonzero(self.loans["day"] <= day_number(until))
        customer, day = self.loans["customer"][used], self.loans["day"][used]
        starts = np.searchsorted(customer, customer)
        earlier = np.arange(len(used)) - starts
        amounts = np.concatenate([[0.0], np.cumsum(self.loans["amount_micros"][used] / AMOUNT_UNIT)])
        is_new_day = (np.diff(day, prepend=-1) != 0) | (np.diff(customer, prepend=-1) != 0)
        day_start = np.maximum.accumulate(np.where(is_new_day, np.arange(len(used)), 0))
        before = day_start - starts
        mean = np.full(len(used), np.nan)
        np.divide(amounts[day_start] - amounts[starts], before, out=mean, where=before > 0)
        return self._rows(customer, day, earlier, mean), used

    def online(self, as_of: date) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Customers' ids, and the features of each one's newest loan as of a day."""
        rows, used = self.features(as_of)
        customer = self.loans["customer"][used]
        last = np.flatnonzero(np.diff(customer, append=-1))
        today = np.full(len(last), day_number(as_of))
        return self.people.id[customer[last]], self._rows(
            customer[last], today, rows[last, 2].astype(np.int64), rows[last, 3]
        )

    def train(self, registry: Storage, as_of: date, version: str, *, seed: int = 0) -> ModelManifest:
        """Commit a version made from the loans up to a day, with its own copy of them."""
        rows, used = self.features(as_of)
        who = self.loans["customer"][used]
        loans = Loans(
            loan_ids=self.loans["loan_id"][used],
            customers=self.people.id[who],
            loan_dates=self.loans["day"][used].astype("datetime64[D]"),
            features=rows,
            late=self.loans["late"][used].astype(np.int8),
            genders=np.full(len(used), "F"),
        )
        sides, split = split_loans(loans, 0.25)
        boosting = HistGradientBoostingClassifier(max_iter=20, max_depth=4, random_state=seed)
        boosting.fit(sides[Side.TRAIN].features, sides[Side.TRAIN].late)
        model = CalibratedClassifierCV(FrozenEstimator(boosting), method="sigmoid")
        model.fit(sides[Side.CALIBRATE].features, sides[Side.CALIBRATE].late)
        reference = sides[Side.TEST].features[:50]
        pickled = io.BytesIO()
        joblib.dump(model, pickled)
        files = {
            MODEL_FILE: pickled.getvalue(),
            REFERENCE_FILE: reference_file(reference, model.predict_proba(reference)[:, 1]),
            TRAINING_SET_FILE: encode_training_set(sides.items()),
        }
        scores = model.predict_proba(sides[Side.VALIDATE].features)[:, 1]
        threshold = float(np.quantile(scores, 0.9))
        return plant(registry, version, files, threshold=threshold, split=split, as_of=as_of)

    def _rows(self, customer: Any, day: Any, earlier: Any, mean: FloatArray) -> FloatArray:
        job_start = self.people.job_start[customer]
        years = np.where(job_start > day, np.nan, (day - job_start) // DAYS_PER_YEAR)
        age = (day - self.people.birthday[customer]) // DAYS_PER_YEAR
        return np.column_stack([age, years, earlier, mean, self.people.own_car[customer]]).astype(float)


def days_after(day: date, count: int) -> list[date]:
    """The days that follow one."""
    return [day + timedelta(days=number) for number in range(1, count + 1)]
