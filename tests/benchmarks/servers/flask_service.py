"""What the first clients' service did, for the benchmark: Flask, a row from SQLite, the joblib model's own answer.

``gunicorn 'flask_service:app'`` with ``MODEL_FILE`` and ``FEATURES_FILE`` in the environment.
"""

import os
import sqlite3

import joblib
import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
model = joblib.load(os.environ["MODEL_FILE"])


@app.post("/predict")
def predict():
    """The decision on a customer."""
    customer = int(request.get_json()["id"])
    with sqlite3.connect(os.environ["FEATURES_FILE"]) as connection:
        row = connection.execute(
            "SELECT age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, flag_own_car"
            " FROM features WHERE id = ?",
            (customer,),
        ).fetchone()
    connection.close()
    if row is None:
        return jsonify(error="customer_unknown"), 404
    probability = model.predict_proba(np.array([row], dtype=np.float64))[0, 1]
    return jsonify(id=customer, decision=int(probability >= 0.2), probability=float(probability))
