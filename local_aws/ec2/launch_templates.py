"""Launch templates that are returned as they were written: moto adds the template's own tags and an empty UserData.

The tags of the template itself are the current ones: moto always returns the first ones.
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.utils import parse_user_data

from local_aws.ec2.api import Actions, idempotent, only_tags_for, tag_list


class LaunchTemplateActions(Actions):
    """Mixed into the EC2 response class."""

    @idempotent
    def create_launch_template(self) -> ActionResult:
        """Version 1 of a template."""
        tags = only_tags_for("launch-template", self._get_param("TagSpecifications", []))
        data = _data(self._get_param("LaunchTemplateData", {}))
        self.error_on_dryrun()
        template = self.ec2_backend.create_launch_template(
            self._get_param("LaunchTemplateName"),
            self._get_param("VersionDescription"),
            data,
            {"launch-template": tags},
        )
        return ActionResult({"LaunchTemplate": self._describe(template)})

    @idempotent
    def create_launch_template_version(self) -> ActionResult:
        """A further version, on the data of SourceVersion if that is given."""
        backend = self.ec2_backend
        name = self._get_param("LaunchTemplateName")
        template = (
            backend.get_launch_template_by_name(name)
            if name
            else backend.get_launch_template(self._get_param("LaunchTemplateId"))
        )
        source = self._get_param("SourceVersion")
        base = template.get_version(source).data if source else {}
        data = {**base, **_data(self._get_param("LaunchTemplateData", {}))}
        self.error_on_dryrun()
        version = template.create_version(data, self._get_param("VersionDescription"))
        return ActionResult(
            {
                "LaunchTemplateVersion": {
                    "CreateTime": version.create_time,
                    "CreatedBy": self._creator(),
                    "DefaultVersion": template.is_default(version),
                    "LaunchTemplateData": version.data,
                    "LaunchTemplateId": template.id,
                    "LaunchTemplateName": template.name,
                    "VersionDescription": version.description,
                    "VersionNumber": version.number,
                }
            }
        )

    def describe_launch_templates(self) -> ActionResult:
        """Templates by name, id or filter, in pages."""
        found = self.ec2_backend.describe_launch_templates(
            self._get_param("LaunchTemplateNames", []),
            self._get_param("LaunchTemplateIds", []),
            self._filters_from_querystring(),
        )
        self.error_on_dryrun()
        shown, token = self._page(found, 200)
        return ActionResult(
            {"LaunchTemplates": [self._describe(template) for template in shown], "NextToken": token}
        )

    def _describe(self, template: Any) -> dict[str, Any]:
        return {
            "CreateTime": template.create_time,
            "CreatedBy": self._creator(),
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.latest_version_number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": tag_list(self.ec2_backend.tags.get(template.id, {})),
        }

    def _creator(self) -> str:
        return f"arn:{self.partition}:iam::{self.current_account}:root"


def _data(given: dict[str, Any]) -> dict[str, Any]:
    data = dict(given)
    user_data = data.pop("UserData", None)
    if user_data:
        data["UserData"] = parse_user_data(user_data)
    return data
