"""The question to an operator before a version decides on everybody."""

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

ANSWER = "answer"
"""The XCom with ``approved``, ``by`` (None where nobody answered in time)."""


class Approval(ApprovalOperator):
    """Airflow's approval, which also keeps the answer where it is a rejection: that one returns nothing."""

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Keep the answer, then go on or skip what follows."""
        user = None if event.get("timedout") else event.get("responded_by_user")
        answer = {
            "approved": event.get("chosen_options") == [self.APPROVE],
            "by": (user.get("name") or user.get("id")) if user else None,
        }
        context["ti"].xcom_push(ANSWER, answer)
        return super().execute_complete(context, event)
