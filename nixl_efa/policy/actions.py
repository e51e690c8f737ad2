"""The one table of permissions: each action, the commands that need it, on what, and what for. Pure.

Which resources and condition keys an action has is said by the Service Authorization Reference.
"""

from nixl_efa.policy.model import COMMANDS, INCLUDED, Command, On, Row

# All that looks nodes up in the state.
_WITH_NODES = "verify connect run copy forward ssh-config prepare"


def _row(actions: str, commands: str, on: On, why: str) -> Row:
    """A row; actions of one service by its name and what follows: "ec2:DescribeVpcs DescribeSubnets"."""
    service, _, names = actions.partition(":")
    chosen = tuple(one for one in COMMANDS if one in commands.split())
    return Row(tuple(f"{service}:{name}" for name in names.split()), chosen, on, why)


ROWS: tuple[Row, ...] = (
    # Looks
    _row(
        "ec2:DescribeVpcs DescribeVpcAttribute DescribeSubnets DescribeRouteTables DescribeAddresses "
        "DescribeInstanceTypes DescribeInstanceTypeOfferings DescribeImages DescribeKeyPairs "
        "DescribeSecurityGroups DescribeLaunchTemplates DescribePlacementGroups",
        "check deploy destroy",
        On.ANYTHING,
        "the check; the stack's data sources, which Terraform reads before it destroys, too",
    ),
    _row(
        "ec2:DescribeInstances",
        "check cost deploy destroy verify run capacity",
        On.ANYTHING,
        "nodes; who uses a block; `run`: whether a node still runs",
    ),
    _row(
        "ec2:DescribeVpcEndpoints DescribeInternetGateways DescribeNetworkAcls DescribeDhcpOptions "
        "DescribeVpcBlockPublicAccessOptions DescribeVpcBlockPublicAccessExclusions GetAllowedImagesSettings "
        "GetEbsDefaultKmsKeyId DescribeVolumes",
        "check",
        On.ANYTHING,
        "the check: the way out, what the account forbids, the volumes' key and quota",
    ),
    _row(
        "kms:DescribeKey",
        "check",
        On.ANYTHING,
        "the check: whether the key of the volumes, given or the account's default, is usable",
    ),
    _row("iam:GetInstanceProfile", "check", On.PROFILE_GIVEN, "the check: instance_profile"),
    _row("iam:GetRole", "check", On.SPOT_ROLE, "the check: the role with which EC2 asks for Spot Instances"),
    _row(
        "iam:SimulatePrincipalPolicy",
        "check",
        On.ANYTHING,
        "the check, `doctor`: what a deployment may not do",
    ),
    _row(
        "ec2:DescribeCapacityReservations",
        "check cost verify capacity",
        On.ANYTHING,
        "reservations, the time left",
    ),
    _row(
        "ec2:DescribeCapacityReservationTopology",
        "check",
        On.ANYTHING,
        "the check: whether several reservations share a network node",
    ),
    _row("ec2:DescribeInstanceTopology", "verify", On.ANYTHING, "which nodes share a network node"),
    _row("ec2:DescribeRegions", "check capacity", On.ANYTHING, "where else a reservation may be; `doctor`"),
    _row(
        "ec2:GetCapacityReservationUsage",
        "check",
        On.ANYTHING,
        "the check: other accounts in the reservation",
    ),
    _row(
        "ec2:DescribeCapacityBlockStatus",
        "check verify",
        On.ANYTHING,
        "whether an UltraServer's interconnect is well",
    ),
    _row(
        "ec2:DescribeCapacityBlockExtensionHistory",
        "check cost capacity",
        On.ANYTHING,
        "the check, `cost` and `capacity`: extensions and their payment",
    ),
    _row(
        "ec2:DescribeAvailabilityZones",
        "check deploy",
        On.ANYTHING,
        "a Local Zone's opt-in and address border",
    ),
    _row(
        "servicequotas:GetServiceQuota GetAWSDefaultServiceQuota",
        "check",
        On.ANYTHING,
        "the check: vCPUs and addresses that the account may have",
    ),
    _row("iam:GetRole", "check deploy destroy", On.ROLE, "names that are in use; Terraform's refresh"),
    _row(
        "iam:GetInstanceProfile",
        "check deploy destroy",
        On.PROFILE,
        "names that are in use; Terraform's refresh",
    ),
    _row(
        "ec2:DescribeNetworkInterfaces DescribeAddressesAttribute DescribeLaunchTemplateVersions DescribeTags "
        "DescribeVolumes DescribeInstanceAttribute DescribeSecurityGroupRules",
        "deploy destroy",
        On.ANYTHING,
        "Terraform's refresh; `mend`",
    ),
    _row("s3:ListAllMyBuckets", "deploy", On.ANYTHING, "`mend`: the scripts bucket of a lost state"),
    # Prices
    _row(
        "pricing:GetProducts",
        "check cost",
        On.ANYTHING,
        "prices of instances, volumes and addresses; without it they are unknown",
    ),
    _row("ec2:DescribeSpotPriceHistory", "check cost", On.ANYTHING, "Spot's price"),
    _row("ec2:GetSpotPlacementScores", "cost", On.ANYTHING, "`cost`: how likely EC2 thinks a Spot launch"),
    _row(
        "ec2:DescribeVolumes DescribeCapacityBlockOfferings DescribeAddresses",
        "cost",
        On.ANYTHING,
        "`cost`: volumes, offers, addresses without a node",
    ),
    _row("ce:GetCostAndUsage", "cost", On.ANYTHING, "`cost --billed`"),
    # The launch, and its dry run
    _row(
        "ec2:RunInstances",
        "check deploy",
        On.LAUNCHED_WITH,
        "the dry run and the launch: what a node is made of",
    ),
    _row("ec2:RunInstances", "check deploy", On.NODES_MADE, "the dry run and the launch"),
    _row("ec2:CreateTags", "check deploy", On.TAGGED_AT_CREATION, "tags at creation"),
    # Terraform
    _row(
        "ec2:CreateSecurityGroup CreatePlacementGroup CreateNetworkInterface AllocateAddress CreateLaunchTemplate",
        "deploy",
        On.MADE,
        "Terraform makes the stack",
    ),
    _row(
        "ec2:CreateSecurityGroup CreateNetworkInterface",
        "deploy",
        On.MADE_IN,
        "the VPC, subnet and group of these",
    ),
    _row(
        "ec2:AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress",
        "deploy",
        On.MADE,
        "Terraform makes the group's rules",
    ),
    _row("ec2:CreateTags", "deploy", On.VOLUMES_TAGGED, "the provider tags a root volume after the launch"),
    _row(
        "ec2:CreateTags DeleteTags AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress AssociateAddress "
        "CreateLaunchTemplateVersion",
        "deploy",
        On.OWN,
        "Terraform changes the stack",
    ),
    _row(
        "ec2:RevokeSecurityGroupEgress RevokeSecurityGroupIngress",
        "deploy destroy",
        On.OWN,
        "rules that go; AWS's own rule of a new group, which Terraform takes away",
    ),
    _row(
        "ec2:DisassociateAddress ReleaseAddress DetachNetworkInterface DeleteNetworkInterface DeleteLaunchTemplate "
        "DeletePlacementGroup DeleteSecurityGroup",
        "deploy destroy",
        On.OWN,
        "Terraform destroys the stack, or a part that a setting takes away",
    ),
    _row(
        "ec2:ModifyInstanceAttribute TerminateInstances",
        "deploy destroy",
        On.NODES,
        "a node goes, replaced or destroyed; the provider ends its protection first",
    ),
    _row("iam:CreateRole PutRolePolicy TagRole UntagRole", "deploy", On.ROLE, "the nodes' role"),
    _row(
        "iam:GetRolePolicy ListRolePolicies ListAttachedRolePolicies DeleteRolePolicy DetachRolePolicy "
        "ListInstanceProfilesForRole DeleteRole",
        "deploy destroy",
        On.ROLE,
        "Terraform's refresh and destruction of the nodes' role",
    ),
    _row(
        "iam:CreateInstanceProfile AddRoleToInstanceProfile TagInstanceProfile UntagInstanceProfile",
        "deploy",
        On.PROFILE,
        "the nodes' instance profile",
    ),
    _row(
        "iam:RemoveRoleFromInstanceProfile DeleteInstanceProfile",
        "deploy destroy",
        On.PROFILE,
        "Terraform destroys the profile",
    ),
    _row(
        # Not DeleteRolePermissionsBoundary: a boundary that its user may remove has no effect (IAM user guide,
        # "Permissions boundaries for IAM entities", Delegating responsibility).
        "iam:PutRolePermissionsBoundary",
        "deploy",
        On.BOUNDED,
        "permissions_boundary",
    ),
    _row("iam:PassRole", "deploy", On.ROLE_PASSED, "the role into its profile, and to EC2 at the launch"),
    _row(
        "s3:CreateBucket PutBucketTagging PutEncryptionConfiguration PutBucketPublicAccessBlock PutBucketPolicy "
        "GetBucketLocation",
        "deploy",
        On.BUCKET,
        "the scripts bucket; `mend` asks where one is",
    ),
    _row(
        "s3:ListBucket GetBucketTagging GetBucketPolicy GetBucketAcl GetBucketCORS GetBucketWebsite "
        "GetBucketVersioning GetAccelerateConfiguration GetBucketRequestPayment GetBucketLogging "
        "GetLifecycleConfiguration GetReplicationConfiguration GetEncryptionConfiguration "
        "GetBucketObjectLockConfiguration GetBucketPublicAccessBlock",
        "deploy destroy",
        On.BUCKET,
        "Terraform's refresh of the bucket",
    ),
    _row(
        "s3:DeleteBucket DeleteBucketPolicy PutEncryptionConfiguration PutBucketPublicAccessBlock",
        "destroy",
        On.BUCKET,
        "Terraform destroys the bucket and what is set on it",
    ),
    _row(
        "s3:PutObject", "deploy", On.MEMBERS, "who is in the environment: members.json, which the nodes read"
    ),
    _row("s3:GetObject GetObjectTagging", "deploy destroy", On.MEMBERS, "Terraform's refresh of it"),
    _row("s3:DeleteObject", "deploy destroy", On.MEMBERS, "Terraform destroys it before the bucket"),
    _row("s3:ListBucketVersions", "destroy", On.BUCKET, "empty_scripts_bucket"),
    _row("s3:DeleteObject DeleteObjectVersion", "destroy", On.SCRIPTS, "empty_scripts_bucket"),
    # Parameter Store
    _row("ssm:GetParameter", "check cost", On.PARAMETERS, "the image, the reservation and the zone"),
    _row(
        "ssm:GetParametersByPath",
        "check deploy destroy",
        On.PARAMETERS,
        "the stack's data sources; purchases that are open",
    ),
    _row(
        "ssm:GetParameter GetParameters GetParametersByPath GetParameterHistory PutParameter",
        "capacity",
        On.PARAMETERS_KEPT,
        "the journal of purchases; the saved reservation",
    ),
    _row(
        "ssm:GetParameters",
        "capacity",
        On.PARAMETERS_BESIDE,
        "whose a block is, of all environments of the project",
    ),
    # Blocks
    _row("ec2:DescribeSubnets", "capacity", On.ANYTHING, "`capacity buy`: the zones of the VPC"),
    _row(
        "ec2:DescribeCapacityBlockOfferings DescribeCapacityBlockExtensionOfferings",
        "capacity",
        On.ANYTHING,
        "`capacity search`, `calendar`, `buy` and `extend`",
    ),
    _row("iam:ListAccountAliases", "capacity", On.ANYTHING, "the account's name beside its number"),
    _row("ec2:PurchaseCapacityBlock", "capacity", On.BLOCKS_BOUGHT, "`capacity buy`"),
    _row("ec2:CreateTags", "capacity", On.BLOCKS_BOUGHT, "`capacity buy`: tags by which a purchase is found"),
    _row("ec2:PurchaseCapacityBlockExtension", "capacity", On.ANYTHING, "`capacity extend`"),
    _row(
        "ec2:CreateTags CancelCapacityReservation",
        "capacity",
        On.BLOCKS_CHANGED,
        "`capacity save` and `cancel`",
    ),
    # The nodes
    _row("ssm:SendCommand", "verify run", On.COMMANDS_RUN, "`verify`, `run`: the document"),
    _row(
        "ssm:SendCommand",
        "verify run",
        On.ON_NODES,
        "`verify`, `nodes sync`, `serve`, `bench`, `run`: the scripts on a node",
    ),
    _row("ssm:GetCommandInvocation", "verify run", On.ANYTHING, "`verify`, `run`: what they printed"),
    _row("ssm:CancelCommand", "run", On.ANYTHING, "`run`: Ctrl-C ends the command on the nodes"),
    _row(
        "s3:GetObject DeleteObject",
        "run",
        On.OUTPUTS_SENT,
        "`run`, `logs`: what a node prints while the command runs, or too much for Run Command",
    ),
    _row("s3:GetObject PutObject DeleteObject", "copy", On.COPIES, "`copy`: files on their way"),
    _row("s3:ListBucket", "run copy", On.BUCKET, "`run`: what is left of outputs, to delete it"),
    _row(
        "s3:ListBucket ListBucketMultipartUploads",
        "prepare",
        On.MODELS_BUCKET,
        "`serve prepare`: what is staged; uploads that were killed",
    ),
    _row(
        "s3:GetObject PutObject DeleteObject AbortMultipartUpload",
        "prepare",
        On.MODELS,
        "`serve prepare`: a model's files and manifest",
    ),
    _row(
        "s3:GetObject DeleteObject",
        "verify",
        On.OUTPUTS,
        "`verify`: an output that is too long for Run Command",
    ),
    _row("ssm:StartSession", "connect forward ssh-config", On.ON_NODES, "`connect`, `forward`: the session"),
    _row("ssm:StartSession", "connect", On.SESSION_STARTED, "`connect`: the account's session settings"),
    _row("ssm:StartSession", "forward", On.FORWARDING_STARTED, "`forward`: AWS's document"),
    _row("ssm:StartSession", "ssh-config", On.SSH_STARTED, "ssh by `ssh-config`: AWS's document"),
    _row(
        "ssm:TerminateSession ResumeSession",
        "connect forward ssh-config",
        On.SESSION_KEPT,
        "`connect`, `forward`, ssh: AWS's plugin",
    ),
    # The state
    _row("s3:ListBucket", f"check deploy destroy {_WITH_NODES}", On.STATE_FOUND, "backend s3"),
    _row("s3:GetObject", "check verify", On.STATE_LOCKED, "backend s3: a lock that was left behind"),
    _row("s3:GetObject", f"check deploy destroy {_WITH_NODES}", On.STATE_READ, "backend s3: the state"),
    _row("s3:PutObject", "deploy destroy", On.STATE_WRITTEN, "backend s3: the state"),
    _row(
        "s3:GetObject PutObject DeleteObject", "deploy destroy", On.STATE_LOCKED, "backend s3: use_lockfile"
    ),
    _row(
        "dynamodb:GetItem PutItem DeleteItem", "deploy destroy", On.STATE_TABLE, "backend s3: dynamodb_table"
    ),
    _row("dynamodb:GetItem", f"check {_WITH_NODES}", On.STATE_TABLE, "backend s3: the state's digest"),
    # Keys
    _row(
        "kms:DescribeKey GenerateDataKeyWithoutPlaintext Decrypt ReEncryptFrom ReEncryptTo",
        "deploy",
        On.VOLUME_KEY,
        "kms_key_id: the root volumes",
    ),
    _row("kms:CreateGrant", "deploy", On.VOLUME_KEY_GRANTED, "kms_key_id: EBS decrypts for the nodes"),
    _row("kms:Decrypt", f"check deploy destroy {_WITH_NODES}", On.STATE_KEY, "backend s3: kms_key_id"),
    _row("kms:GenerateDataKey", "deploy destroy", On.STATE_KEY, "backend s3: kms_key_id"),
)


def rows_of(command: Command) -> tuple[Row, ...]:
    """The rows that a command needs."""
    wanted = INCLUDED.get(command, (command,))
    return tuple(row for row in ROWS if set(wanted) & set(row.commands))
