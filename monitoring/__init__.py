"""Judging what serves by its logged decisions: pure functions, and the jobs that run them."""
