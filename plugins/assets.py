"""The assets that our DAGs update, so that others can wait for them."""

from airflow.sdk import Asset

PUBLISHED_FEATURES = Asset(name="published_features", uri="creditrisk://published_features", group="features")
"""A feature snapshot is being served; the event's extra is ``{"snapshot": <id>, "as_of": <date>}``."""

MODEL_VERSIONS = Asset(name="model_versions", uri="creditrisk://model_versions", group="models")
"""A model version passed its gate; the event's extra is ``{"version": <id>, "snapshot": <id>}``."""

RELEASES = Asset(name="releases", uri="creditrisk://releases", group="models")
"""Another version serves; the event's extra is ``{"number": <release>, "champion": <version>}``."""
