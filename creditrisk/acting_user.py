"""Who acts on the command line: the name that a record keeps."""

import argparse
import getpass

from creditrisk.errors import CreditRiskError


def acting_user(arguments: argparse.Namespace, refusal: type[CreditRiskError]) -> str:
    """The name given by ``--by``, else the user's of this machine.

    Raises:
        CreditRiskError: of the kind ``refusal``: there is neither.
    """
    if arguments.by:
        return str(arguments.by)
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise refusal("by: this machine does not know the user's name: give --by") from None
