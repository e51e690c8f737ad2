"""The machine image: the given one, else AWS's deep-learning image for the type's accelerator.

The images hold the accelerator's driver, the EFA installer (libfabric under /opt/amazon/efa) and the SSM agent.
"""

from __future__ import annotations

from cdktf_cdktf_provider_aws.data_aws_ssm_parameter import DataAwsSsmParameter
from constructs import Construct

from constructs_lib.frozen import frozen
from constructs_lib.naming import named, token
from nixl_efa.launch import Launch


class Image(Construct):
    """ami_id is an id, or a token for the image that its parameter named when the pair was created."""

    def __init__(self, scope: Construct, id: str, *, launch: Launch) -> None:
        super().__init__(scope, id)
        if launch.image_id:
            self.ami_id: str = launch.image_id
            return
        named(DataAwsSsmParameter(self, "image", name=launch.image_parameter), "image")
        newest = token("data.aws_ssm_parameter", "image", "insecure_value")
        # AWS publishes a new image every week; it must not replace running nodes.
        self.ami_id = frozen(self, "image", newest, until={"parameter": launch.image_parameter})
