"""Parameter Store, from the SSM API reference: versions, the history, ten a page, one conditional write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.campaign.schedule import Schedule, moment
from tests.campaign.shapes import refusal

# Quotas of a standard parameter (AWS general reference, Parameter Store).
LONGEST_VALUE = 4096
MOST_VERSIONS = 100
LONGEST_DESCRIPTION = 1024


@dataclass(frozen=True, slots=True)
class Written:
    """One version of a parameter, and who wrote it."""

    version: int
    value: str
    by: str
    at: float


class Ssm:
    """One account's Parameter Store in every region. Each method is an operation.

    on_write is told of every write: region, name, the value before (None: there was none) and after (None:
    deleted), and by whom.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._kept: dict[tuple[str, str], list[Written]] = {}
        self.on_write: Callable[[str, str, str | None, str | None, str], None] = lambda *_: None

    def value(self, region: str, name: str) -> str | None:
        """What is in a parameter now."""
        versions = self._kept.get((region, name))
        return versions[-1].value if versions else None

    def names(self, region: str, under: str) -> list[str]:
        """The names of a region's parameters below a path, sorted."""
        return sorted(name for where, name in self._kept if where == region and name.startswith(under))

    def write(self, region: str, name: str, value: str, by: str) -> int:
        """Puts a value and returns its version."""
        versions = self._kept.setdefault((region, name), [])
        before = versions[-1].value if versions else None
        version = versions[-1].version + 1 if versions else 1
        versions.append(Written(version, value, by, self._schedule.now))
        del versions[:-MOST_VERSIONS]
        self.on_write(region, name, before, value, by)
        return version

    def remove(self, region: str, name: str, by: str) -> bool:
        """Deletes a parameter; whether it was there."""
        versions = self._kept.pop((region, name), None)
        if versions:
            self.on_write(region, name, versions[-1].value, None, by)
        return bool(versions)

    def get_parameter(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        versions = self._kept.get((region, request["Name"]))
        if not versions:
            raise refusal("ParameterNotFound", "GetParameter")
        return {"Parameter": self._payload(request["Name"], versions[-1])}

    def get_parameters(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        found = {
            name: self._kept[region, name][-1] for name in request["Names"] if (region, name) in self._kept
        }
        return {
            "Parameters": [self._payload(name, one) for name, one in found.items()],
            "InvalidParameters": [name for name in request["Names"] if name not in found],
        }

    def get_parameters_by_path(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        root = request["Path"].rstrip("/") + "/"
        rows = [
            self._payload(name, self._kept[region, name][-1])
            for name in self.names(region, root)
            if request.get("Recursive") or "/" not in name[len(root) :]
        ]
        size, first = request.get("MaxResults", 10), int(request.get("NextToken") or 0)
        more = {"NextToken": str(first + size)} if first + size < len(rows) else {}
        return {"Parameters": rows[first : first + size], **more}

    def put_parameter(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        operation, name = "PutParameter", request["Name"]
        too_long = len(request["Value"]) > LONGEST_VALUE or not request["Value"]
        if too_long or len(request.get("Description", "")) > LONGEST_DESCRIPTION:
            raise refusal("ValidationException", operation)
        if request.get("Overwrite") and request.get("Tags"):
            raise refusal("ValidationException", operation)
        if (region, name) not in self._kept and "Type" not in request:
            raise refusal("ValidationException", operation)
        if (region, name) in self._kept and not request.get("Overwrite"):
            raise refusal("ParameterAlreadyExists", operation)
        return {"Version": self.write(region, name, request["Value"], by), "Tier": "Standard"}

    def get_parameter_history(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        versions = self._kept.get((region, request["Name"]))
        if not versions:
            raise refusal("ParameterNotFound", "GetParameterHistory")
        rows = [
            {
                "Name": request["Name"],
                "Type": "String",
                "LastModifiedDate": moment(one.at),
                "LastModifiedUser": f"arn:aws:iam::123456789012:user/{one.by}",
                "Value": one.value,
                "Version": one.version,
            }
            for one in versions
        ]
        size, first = request.get("MaxResults", 50), int(request.get("NextToken") or 0)
        more = {"NextToken": str(first + size)} if first + size < len(rows) else {}
        return {"Parameters": rows[first : first + size], **more}

    def delete_parameter(self, region: str, request: Mapping[str, Any], by: str) -> dict[str, Any]:
        if not self.remove(region, request["Name"], by):
            raise refusal("ParameterNotFound", "DeleteParameter")
        return {}

    def _payload(self, name: str, one: Written) -> dict[str, Any]:
        return {
            "Name": name,
            "Type": "String",
            "Value": one.value,
            "Version": one.version,
            "LastModifiedDate": moment(one.at),
            "DataType": "text",
        }
