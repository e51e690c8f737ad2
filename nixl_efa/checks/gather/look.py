"""One look: a call to AWS, or the reason why it gave nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nixl_efa.aws_calls import NoResultError
from nixl_efa.aws_errors import explain, missing_permission
from nixl_efa.checks.facts import Unseen

Seen = TypeVar("Seen")


def look(permission: str, call: Callable[[], Seen]) -> Seen | Unseen:
    """What `call` returns; Unseen, with the permission that it needs, when AWS refuses or can't be reached.

    Errors of this program are raised: they are no fact about AWS.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        # A look may be of two calls, of which one is refused.
        refused = f"{permission.partition(':')[0]}:{error.operation_name}"
        return Unseen(refused, explain(error), denied=bool(missing_permission(error)))
    except (BotoCoreError, OSError) as error:
        return Unseen(permission, explain(error))
    except NoResultError as error:
        return Unseen(permission, error.message.rstrip("."))
