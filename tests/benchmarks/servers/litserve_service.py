"""The same model behind LitServe, for the benchmark: features in, probability out; nothing is looked up."""

import os
import sys

import joblib
import litserve
import numpy as np


class Scoring(litserve.LitAPI):
    """The model's own answer."""

    def setup(self, device):
        """Load the model."""
        self.model = joblib.load(os.environ["MODEL_FILE"])

    def decode_request(self, request):
        """Five features as a row."""
        return np.array([request["features"]], dtype=np.float64)

    def predict(self, row):
        """Probability of class 1."""
        return self.model.predict_proba(row)[0, 1]

    def encode_response(self, probability):
        """As JSON."""
        return {"probability": float(probability)}


if __name__ == "__main__":
    server = litserve.LitServer(Scoring(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
