"""What only Airflow needs."""
