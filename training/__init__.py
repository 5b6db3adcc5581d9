"""Training: a snapshot in, a judged and registered model version out."""
