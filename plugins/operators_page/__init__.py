"""The operators' page: what is served, how the nights went, whether the model still deserves to decide, what now.

A FastAPI app inside Airflow's API server, and in no other of its processes. Each view is a module: a pure function
from what was read to what its template shows, and a route that reads and renders.
"""
