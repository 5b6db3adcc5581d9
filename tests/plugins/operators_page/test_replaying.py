import time
from uuid import uuid4

from plugins.operators_page import replaying


def test_one_replay_runs_at_a_time_and_nobody_waits_for_it_in_airflow_s_api() -> None:
    began = time.monotonic()
    with replaying._TURN:
        said = replaying.replay(uuid4())
    assert said == "Another replay is running: ask again in a moment."
    assert time.monotonic() - began < replaying.SECONDS / 4
