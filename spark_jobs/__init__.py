"""The feature job: landed loans in, a committed feature snapshot out."""
