"""The actions: what each asks for, what it would do, in sentences, and what it hands to its DAG. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from creditrisk.errors import CreditRiskError
from creditrisk.release import ReleaseRecord, rollback_target

Form = Mapping[str, str]
History = Sequence[ReleaseRecord]

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{10}")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """Something that an action asks for."""

    name: str
    label: str
    hint: str
    kind: str = "text"
    """``text``, ``version``, ``date``, ``reason`` or ``flag``."""
    is_required: bool = True

    def problem(self, value: str) -> str | None:
        """What is wrong with a value, in words."""
        if not value:
            return f"{self.label}: is needed" if self.is_required else None
        if self.kind == "version" and not _VERSION.fullmatch(value):
            return f"{self.label}: {value[:40]!r} is no id of the form 2020-12-31-0a1b2c3d4e"
        if self.kind == "reason" and not 5 <= len(value) <= _LONGEST:
            return f"{self.label}: between 5 and {_LONGEST} characters are needed"
        if self.kind == "flag" and value != "yes":
            return f"{self.label}: is either yes or empty"
        if self.kind == "date":
            try:
                is_date = date.fromisoformat(value).isoformat() == value  # and not 20201231 or 2020-W53-4
            except ValueError:
                is_date = False
            if not is_date:
                return f"{self.label}: {value[:40]!r} is no date of the form 2020-12-31"
        return None


@dataclass(frozen=True, slots=True)
class Action:
    """Something that an operator can have done by a DAG."""

    name: str
    """Its path."""
    dag_id: str
    view: str
    """The view that it belongs to."""
    title: str
    about: str
    fields: tuple[Field, ...]
    says: Callable[[Form, History, str | None], list[str]]
    """What it will do: given the form, the release records and the served snapshot."""
    conf: Callable[[Form], dict[str, Any]]
    """What its DAG is triggered with."""
    defaults: Callable[[History], dict[str, str]] = lambda _: {}
    impossible: Callable[[History], str | None] = lambda _: None
    """Why it cannot be done at all now."""
    serves: str | None = None
    """The field that names the version which it puts into service."""

    def read(self, given: Mapping[str, Any]) -> dict[str, str]:
        """The form's own fields, without spaces around them."""
        return {field.name: str(given.get(field.name) or "").strip() for field in self.fields}

    def filled(self, form: Form, history: History) -> dict[str, str]:
        """The form with what stands to reason where nothing was given."""
        usual = self.defaults(history)
        return {name: value or usual.get(name, "") for name, value in form.items()}

    def problems(self, form: Form) -> dict[str, str]:
        """What is wrong, by field."""
        found = {field.name: field.problem(form[field.name]) for field in self.fields}
        return {name: problem for name, problem in found.items() if problem}


def _in_force(history: History) -> tuple[str | None, str | None]:
    return (history[-1].champion, history[-1].challenger) if history else (None, None)


def _ends_challenge(history: History, version: str) -> list[str]:
    _, challenger = _in_force(history)
    if challenger is None or challenger == version:
        return []
    return [f"It ends the challenge of {challenger}; a run of release_model for it ends as failed."]


def _promote_says(form: Form, history: History, snapshot: str | None) -> list[str]:  # noqa: ARG001
    champion, challenger = _in_force(history)
    version = form["version"]
    if version == champion and challenger is None:
        return [f"{version} serves everybody already: nothing will change."]
    instead = f" instead of {champion}" if champion and champion != version else ""
    return [
        f"{version} decides on every customer{instead}, on all workers within five seconds. No request waits or fails for it.",
        "It is not compared with the champion on live requests first: releasing it step by step does that.",
        *_ends_challenge(history, version),
        "It can be undone by rolling back.",
    ]


def _roll_back_says(form: Form, history: History, snapshot: str | None) -> list[str]:
    champion, _ = _in_force(history)
    target = form["to"]
    if target == champion and not history[-1].challenger:
        return [f"{target} serves everybody already: nothing will change."]
    if target not in {record.champion for record in history}:
        return [f"{target} has never served, so the run will refuse: promote it instead."]
    return [
        f"{target} decides on every customer instead of {champion}, on all workers within five seconds. No request waits or fails for it.",
        *_ends_challenge(history, target),
        f"Features are not touched: snapshot {snapshot or '(none)'} goes on being served. Nothing is deleted; promoting undoes it.",
    ]


def _abort_says(form: Form, history: History, snapshot: str | None) -> list[str]:  # noqa: ARG001
    champion, challenger = _in_force(history)
    version = form["version"]
    if challenger != version:
        return [f"{version} does not challenge any more: nothing will change."]
    share = history[-1].share
    now = f"It decides on {share:.0%} of the customers now; the" if share else "The"
    return [
        f"The challenge of {version} ends. {now} champion {champion} decides on everybody within five seconds.",
        "The run of release_model notices at its next look and ends as failed. To try again, the release begins as a shadow.",
    ]


def _rerun_says(form: Form, history: History, snapshot: str | None) -> list[str]:  # noqa: ARG001
    as_of, until = form["as_of"], form["landed_until"] or form["as_of"]
    said = [
        f"The snapshot of {as_of} is built again from what had landed by {until}, and judged. The same input gives the same snapshot and verdict.",
        f"Until it has passed its gate, {snapshot or 'nothing'} goes on being served.",
    ]
    if snapshot and as_of < snapshot[:10]:
        if form["publish_older"]:
            said.append(
                f"It is older than what is served, and will be SERVED INSTEAD: features go back from {snapshot[:10]} to {as_of}."
            )
        else:
            said.append(
                f"It is older than what is served ({snapshot[:10]}), so it will not be published: the task ends as skipped."
            )
    else:
        said.append("Then it is loaded beside what is served, checked, and switched to in one moment.")
    return said


def _release_says(form: Form, history: History, snapshot: str | None) -> list[str]:  # noqa: ARG001
    champion, challenger = _in_force(history)
    version = form["version"]
    if champion is None:
        return [
            "Nothing has been released yet, so there is nothing to challenge: the run will refuse. Promote a first version."
        ]
    if challenger not in (None, version):
        return [f"{challenger} challenges already, so the run will refuse: abort that first."]
    if version == champion:
        return [f"{version} is the champion itself: the run will refuse."]
    return [
        f"{version} challenges {champion}: first as a shadow that decides on nobody, then for a growing share of the customers.",
        "A judge compares both on the same requests at each step; it goes on, waits, or aborts by itself.",
        "Before it decides on everybody, an operator is asked to approve, unless the settings say otherwise.",
    ]


_REASON = Field("reason", "Why", "Kept in the release record, with your name.", "reason")


def _version(hint: str) -> Field:
    return Field("version", "Version", hint, "version")


def _rollback_default(history: History) -> dict[str, str]:
    try:
        return {"to": rollback_target(history)}
    except CreditRiskError:
        return {}


def _no_rollback(history: History) -> str | None:
    try:
        rollback_target(history)
    except CreditRiskError as error:
        return str(error)
    return None


def _no_challenge(history: History) -> str | None:
    return None if _in_force(history)[1] else "Nothing challenges the champion: there is nothing to abort."


ACTIONS = (
    Action(
        "promote", "promote_model", "models", "Promote a version at once",
        "Puts a version into service for everybody, without comparing it on live requests first.",
        (_version("The version to serve."), _REASON),
        _promote_says,
        lambda form: {"version": form["version"], "reason": form["reason"]},
        serves="version",
    ),
    Action(
        "roll-back", "roll_back_model", "release", "Roll back the model",
        "Puts a version that has served before back into service.",
        (Field("to", "Version to go back to", "The champion before the present one stands here by itself.", "version"), _REASON),
        _roll_back_says,
        lambda form: {"to": form["to"], "reason": form["reason"]},
        defaults=_rollback_default,
        impossible=_no_rollback,
        serves="to",
    ),
    Action(
        "abort", "abort_release", "release", "Abort the challenge",
        "Ends the challenge; the champion decides on everybody.",
        (_version("The challenger."), _REASON),
        _abort_says,
        lambda form: {"version": form["version"], "reason": form["reason"]},
        defaults=lambda history: {"version": _in_force(history)[1] or ""},
        impossible=_no_challenge,
    ),
    Action(
        "rerun", "refresh_features", "nights", "Run a night again",
        "Builds the snapshot of a date, judges it, and publishes it.",
        (
            Field("as_of", "Date", "The snapshot's.", "date"),
            Field("landed_until", "Landed until", "Files that landed up to this day; empty: up to the date itself.", "date", is_required=False),
            Field("publish_older", "Publish even if older than what is served", "Serves it although a newer one is being served.", "flag", is_required=False),
        ),
        _rerun_says,
        lambda form: {
            "as_of": form["as_of"], "landed_until": form["landed_until"] or None, "publish_older": form["publish_older"] == "yes",
        },
    ),
    Action(
        "release", "release_model", "release", "Release a version step by step",
        "Lets a version challenge the champion, from a shadow to everybody.",
        (_version("The version that is to challenge."), _REASON),
        _release_says,
        lambda form: {"version": form["version"], "reason": form["reason"]},
        serves="version",
    ),
)  # fmt: skip
"""All of them, in the order of their paths' first use."""
