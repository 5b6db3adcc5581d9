from tests.airflow_environment import prepare

prepare()
