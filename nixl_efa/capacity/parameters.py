"""Handing a reservation to an environment through Parameter Store.

Parameter Store has no compare-and-swap. This module does what is nearest to it. A parameter that did not exist is
created with Overwrite=False, which fails when somebody else has created it since. One that existed is read again just
before the write, and after the write the parameter's history shows which value was replaced. If that is not the value
that was read, somebody wrote in between: their value is restored and the command stops. An id and its zone are kept
together: when the second one can't be written, the first one is restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import Sleep, all_items, result
from nixl_efa.aws_errors import error_code, error_message, explain
from nixl_efa.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# EC2 Systems Manager API reference, GetParameters.
_NAMES_A_CALL = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """A parameter as it was read. version counts from 1; 0 stands for a parameter that does not exist.

    value: without white space around it, such as the newline that `aws ssm put-parameter --value file://...` stores.
    Terraform reads it in the same way (constructs_lib.parameters).
    """

    name: str
    value: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter to write: the value that was read, and the new one."""

    old: Stored
    new: str

    @property
    def needed(self) -> bool:
        """Whether anything has to be written."""
        return self.old.value != self.new


class Changed(Failure):
    """Somebody else wrote the parameter since it was read."""


class SecretParameter(Failure):
    """The parameter is a SecureString. Terraform's data source, and every read without decryption, gets its encrypted
    text."""


def read(ssm: SSMClient, name: str) -> Stored:
    """The parameter as it is now. SecretParameter for a SecureString."""
    try:
        parameter = result(ssm.get_parameter(Name=name), "Parameter")
    except Exception as error:
        if _is_absent(error):
            return Stored(name)
        raise
    return _stored(parameter)


def read_many(ssm: SSMClient, names: Sequence[str]) -> dict[str, Stored]:
    """The parameters with these names as they are now, by name; also those that do not exist. SecretParameter for a
    SecureString."""
    found = {name: Stored(name) for name in names}
    for first in range(0, len(names), _NAMES_A_CALL):
        answer = ssm.get_parameters(Names=list(names[first : first + _NAMES_A_CALL]))
        for parameter in result(answer, "Parameters"):
            found[parameter["Name"]] = _stored(parameter)
    return found


def _is_absent(error: Exception) -> bool:
    """Whether an error says that there is no such parameter.

    AWS answers ParameterVersionNotFound for a public parameter of another region, and ValidationException, "... is not
    a valid namespace", for a name below /aws/service/ that no service publishes.
    """
    code = error_code(error)
    return code in ("ParameterNotFound", "ParameterVersionNotFound") or (
        code == "ValidationException" and "is not a valid namespace" in error_message(error)
    )


def _stored(parameter: Mapping[str, Any]) -> Stored:
    name = parameter["Name"]
    if parameter.get("Type") == "SecureString":
        # SSM API reference, PutParameter, HierarchyTypeMismatchException: a parameter's type can't be changed.
        raise SecretParameter(
            f"The parameter {name} is a SecureString, and Terraform would take its encrypted text: store it as String. "
            "A parameter's type can't be changed: delete it first"
        )
    return Stored(name, _bare(parameter["Value"]), parameter["Version"])


def _bare(value: str) -> str:
    return value.strip()


def check_unchanged(ssm: SSMClient, stored: Iterable[Stored]) -> None:
    """Raises Changed when a parameter is no longer as it was read."""
    for old in stored:
        now = read(ssm, old.name)
        if now != old:
            raise Changed(_since(old, now))


def write_together(ssm: SSMClient, changes: Sequence[Change], sleep: Sleep) -> None:
    """Writes parameters that belong together. `ssm` must not retry, since each retry could add a version.

    If one must be written, all are: a value that is already there gets a new version, so that the process that wrote it
    does not restore an older one. When one can't be written, those before it are restored. Raises Changed when somebody
    else has written one since it was read; their value is kept.
    """
    if not any(change.needed for change in changes):
        check_unchanged(ssm, [change.old for change in changes])
        return
    written: list[tuple[Change, int]] = []
    for change in changes:
        try:
            written.append((change, write(ssm, change, sleep)))
        except Exception as error:
            for earlier, version in reversed(written):
                _take_back(ssm, earlier, version, sleep, error)
            raise


def write(ssm: SSMClient, change: Change, sleep: Sleep) -> int:
    """Writes one parameter and returns the version of the write, 0 when somebody else may have written the same.

    Raises Changed when somebody else has written it since it was read; their value is kept.
    """
    return _create(ssm, change) if change.old.version == 0 else _replace(ssm, change, sleep)


def _take_back(ssm: SSMClient, change: Change, version: int, sleep: Sleep, why: Exception) -> None:
    """Restores the old value if our write (that version) is still the newest. Changed, with `why`, when that fails."""
    if change.old.version == 0 or not change.needed:
        return
    try:
        now = read(ssm, change.old.name)
        if (now.value, now.version) == (change.new, version):
            _replace(ssm, Change(now, change.old.value), sleep)
    except Exception as error:
        raise Changed(
            f"{explain(why)}. {change.old.name} = {change.new!r} was written before that, and could not be taken back "
            f"({explain(error)}): it was {change.old.value!r}."
        ) from error


def _create(ssm: SSMClient, change: Change) -> int:
    try:
        return _put(ssm, change, overwrite=False)
    except Exception as error:
        now = read(ssm, change.old.name)
        if now.value == change.new:
            return 0  # our own write, whose answer was lost, or the same by somebody else
        if error_code(error) == "ParameterAlreadyExists":
            raise Changed(_since(change.old, now)) from error
        raise


def _replace(ssm: SSMClient, change: Change, sleep: Sleep) -> int:
    check_unchanged(ssm, [change.old])
    try:
        version = _put(ssm, change, overwrite=True)
    except Exception as error:
        version = _version_written(ssm, change, error)
    return _keep_theirs(ssm, change, version, sleep)


def _version_written(ssm: SSMClient, change: Change, error: Exception) -> int:
    """The version of our write when its answer was lost. Raises `error` when nothing was written."""
    name = change.old.name
    try:
        now = read(ssm, name)
    except Exception as unread:
        raise Changed(
            f"{name}: it is not known whether {change.new!r} was written ({error}). If somebody else wrote it at the "
            f"same moment, theirs may have been overwritten. Look at `aws ssm get-parameter-history --name {name}`."
        ) from unread
    if now.value != change.new:
        raise error
    return now.version


def _keep_theirs(ssm: SSMClient, change: Change, version: int, sleep: Sleep) -> int:
    """Restores what somebody else wrote between our read and our write, and raises Changed.

    version: that of our write. Returns it, or 0 when somebody else has written the same value. The parameter's history
    shows what our write replaced. The version number alone does not: a parameter that was deleted and created again
    counts from 1 again.
    """
    name = change.old.name
    try:
        history = list(all_items(ssm.get_parameter_history, "Parameters", sleep, {"Name": name}))
    except Exception:
        # Even if the history can't be read, the user must be told that a value was overwritten.
        history = []
    replaced = [one for one in history if one["Version"] == version - 1]
    if not replaced:
        if version == change.old.version + 1:
            return version
        if version == 1:
            raise Changed(
                f"{name}: somebody else deleted it at the same moment, and it was made again with {change.new!r}. "
                "Run the command again if that is right."
            )
        raise Changed(
            f"{name}: somebody else wrote it at the same moment, and was overwritten with {change.new!r}. "
            f"Look at `aws ssm get-parameter-history --name {name}`."
        )
    value, user = replaced[0]["Value"], replaced[0].get("LastModifiedUser", "somebody")
    if _bare(value) == change.old.value and version == change.old.version + 1:
        return version
    if _bare(value) == change.new:
        return 0
    restored = Change(Stored(name, change.new, version), value)
    try:
        restored_version = _put(ssm, restored, overwrite=True)
    except Exception as error:
        raise Changed(
            f"{name}: {user} wrote {value!r} at the same moment, and was overwritten with {change.new!r}. "
            f"Putting it back failed ({error}). Look at `aws ssm get-parameter-history --name {name}`."
        ) from error
    if restored_version != version + 1:
        # They wrote once more before we restored their value: the newer value is kept.
        _keep_theirs(ssm, restored, restored_version, sleep)
    raise Changed(
        f"{name}: {user} wrote {value!r} at the same moment. Their value was restored; {change.new!r} was not kept. "
        "Run the command again if yours is the right one."
    )


def _put(ssm: SSMClient, change: Change, *, overwrite: bool) -> int:
    """The new version. NoResultError for an answer without one: it is not known then whether anything was written."""
    answer = ssm.put_parameter(Name=change.old.name, Value=change.new, Type="String", Overwrite=overwrite)
    return int(result(answer, "Version"))


def _since(old: Stored, now: Stored) -> str:
    before = repr(old.value) if old.version else "nothing"
    after = repr(now.value) if now.version else "nothing"
    return (
        f"{now.name} was changed by somebody else since it was read (then {before}, now {after}). "
        "Nothing was written there. Run the command again to see what is there."
    )
