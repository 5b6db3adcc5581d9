"""The command line's ``keys add``, ``keys list`` and ``keys revoke``."""

import argparse
from typing import Any

from creditrisk.acting_user import acting_user
from creditrisk.api_keys import Scope
from creditrisk.errors import KeyInvalid
from creditrisk.key_store import KeptKey, add_key, list_keys, revoke_key
from creditrisk.settings import Settings


def add_key_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    keys = commands.add_parser("keys", help="make, list and revoke the prediction service's API keys")
    actions = keys.add_subparsers(title="actions", required=True, metavar="<action>")

    adding = actions.add_parser(
        "add", help="make a key and print it: it is shown this once, and kept nowhere"
    )
    adding.add_argument(
        "name", help="the system that will use it; it stands in every decision, so no person's"
    )
    adding.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        help="what it may do, given once or more: ask for decisions (predict); see features, decisions and the "
        "model (read, which implies metrics); see /metrics alone (metrics); all of it (admin)",
    )
    _add_who(adding)
    adding.set_defaults(run=_add)

    listing = actions.add_parser("list", help="list all keys ever made, without their text, oldest first")
    listing.set_defaults(run=_list)

    revoking = actions.add_parser("revoke", help="make a key good for nothing, within seconds and for ever")
    revoking.add_argument("name", help="its name, or its id")
    _add_who(revoking)
    revoking.set_defaults(run=_revoke)


def _add_who(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", help="who does it; by default the user of this machine")


def _add(settings: Settings, arguments: argparse.Namespace) -> None:
    scopes = [Scope(scope) for scope in arguments.scope]
    print(add_key(settings, arguments.name, scopes, by=acting_user(arguments, KeyInvalid)))


def _list(settings: Settings, _: argparse.Namespace) -> None:
    keys = list_keys(settings)
    if not keys:
        print("No API key has been made yet: python -m creditrisk keys add <name> --scope predict")
    for key in keys:
        print(_line(settings, key))


def _revoke(settings: Settings, arguments: argparse.Namespace) -> None:
    print(_line(settings, revoke_key(settings, arguments.name, by=acting_user(arguments, KeyInvalid))))


def _line(settings: Settings, key: KeptKey) -> str:
    made = key.made_at.astimezone(settings.zone)
    end = ""
    if key.revoked_at:
        revoked = key.revoked_at.astimezone(settings.zone)
        end = f"  revoked {revoked:%Y-%m-%d %H:%M:%S %Z} by {key.revoked_by}"
    return f"{key.id}  {key.name}  {', '.join(key.scopes)}  made {made:%Y-%m-%d %H:%M:%S %Z} by {key.made_by}{end}"
