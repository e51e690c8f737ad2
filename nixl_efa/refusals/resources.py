"""Refusals about what a launch uses or creates: network, image, volumes, keys, names, parameters.

EC2 API reference, errors-overview; IAM, S3 and Systems Manager API references.
"""

from nixl_efa.refusals.model import Advice

_TYPES_DATA = "Refresh the types' data (`nixl-efa instance-types refresh`)."
_OURS = "No setting leads to this: report it with AWS's message."
_KEY = "The key is that of the setting kms_key_id, without it the account's default (`aws ec2 get-ebs-default-kms-key-id`)"
_TAKEN = "Another stack, or an earlier deployment whose state is elsewhere, has it: use that state, set another name, or remove what is there; `nixl-efa mend` shows what is there."

# karpenter-provider-aws 1407: RunInstances succeeds and the instance then ends.
DIED_OF_ITS_KEY = Advice(
    ("Client.InternalError",),
    "the instance died at its launch, usually because the key that encrypts its volume can't be used",
    f"{_KEY}: it must be enabled, and its key policy must let your role make grants (kms:CreateGrant).",
)

NETWORK = (
    Advice(
        (
            "InvalidParameter",
            "ClientInvalidParameterValue",
            "InvalidParameterValue",
            "InvalidParameterCombination",
        ),
        "the security group and the subnet are in different VPCs",
        "Set security_group_id to a group of the subnet's VPC, or remove it.",
        "different networks",
    ),
    Advice(
        ("InsufficientFreeAddressesInSubnet",),
        "the subnet has too few free addresses",
        "Free some, or set subnet_id to a larger subnet.",
    ),
    Advice(
        ("InvalidSubnetID.*", "InvalidSubnetId.*", "InvalidSubnet"),
        "the subnet is not there",
        "Set subnet_id to one of this region and account.",
    ),
    Advice(
        ("InvalidVpcID.*", "InvalidVpcId.*"),
        "the VPC is not there",
        "Set vpc_id to one of this region and account.",
    ),
    Advice(
        ("InvalidGroup.NotFound", "InvalidGroupId.*", "InvalidSecurityGroupI[Dd].*"),
        "the security group is not there, or in another VPC",
        "Set security_group_id to one of the subnet's VPC, or remove it.",
    ),
    Advice(
        ("InvalidAvailabilityZone", "InvalidZone.NotFound"),
        "the zone is not there for this account",
        "Set availability_zone to one that `aws ec2 describe-availability-zones` shows; a Local Zone must be enabled first.",
    ),
    Advice(
        ("InvalidParameterValue",),
        "the zone is not there for this account",
        "Set availability_zone to one that `aws ec2 describe-availability-zones` shows; a Local Zone must be enabled first.",
        "invalid availability zone",
    ),
    Advice(
        ("MissingInput", "DefaultVpcDoesNotExist", "VPCIdNotSpecified", "VPCResourceNotSpecified"),
        "the region has no default VPC, or none with a subnet in the zone",
        "Set subnet_id, or vpc_id.",
    ),
    Advice(
        ("AddressLimitExceeded",),
        "the account has reached its limit of Elastic IPs in the region",
        "Release some, ask for more in Service Quotas, or set elastic_ip = false where the nodes have another way out.",
    ),
    Advice(
        ("Gateway.NotAttached",),
        "the VPC has no internet gateway, without which an Elastic IP is of no use",
        "Set elastic_ip = false where the nodes have another way out, or attach an internet gateway to the VPC.",
    ),
    Advice(
        (
            "Resource.AlreadyAssociated",
            "InvalidIPAddress.InUse",
            "InvalidAddress.InUse",
            "Resource.AlreadyAssigned",
        ),
        "the address is in use",
        "Run `nixl-efa mend`: it shows what holds it.",
    ),
    Advice(
        ("InvalidAllocationID.NotFound", "InvalidAddressID.NotFound", "InvalidAddress.NotFound"),
        "the Elastic IP is gone",
        "Run `nixl-efa mend`, then deploy again: the stack makes its own.",
    ),
    Advice(
        ("NetworkInterfaceLimitExceeded",),
        "the account's limit of network interfaces is too small for the pair",
        "Ask for more in Service Quotas (network interfaces per region).",
    ),
    Advice(
        ("AttachmentLimitExceeded",),
        "the type takes fewer volumes than planned",
        "Detach some: the pair has one volume a node.",
        "volume",
    ),
    Advice(("AttachmentLimitExceeded",), "the type takes fewer network interfaces than planned", _TYPES_DATA),
    Advice(
        ("InvalidNetworkInterface.InUse",),
        "the network interface is in use",
        "It is free some minutes after its instance ended; `nixl-efa mend` shows what holds it.",
    ),
    Advice(
        ("InvalidNetworkInterface.NotFound", "InvalidNetworkInterfaceI[Dd].*"),
        "the network interface is gone",
        "Run `nixl-efa mend`, then deploy again: the stack makes its own.",
    ),
    Advice(("InvalidNetworkInterface*",), "EC2 does not take these network interfaces", _TYPES_DATA),
    # eksctl 7520: EFA on card n has device index 0 or 1, not n.
    Advice(
        ("InvalidRequest", "InvalidParameterValue", "InvalidParameterCombination", "InvalidParameter"),
        "the network interfaces are not laid out as the type takes them",
        _TYPES_DATA,
        "device index",
    ),
    Advice(
        ("InvalidRequest", "InvalidParameterValue", "InvalidParameterCombination", "InvalidParameter"),
        "the network interfaces are not laid out as the type takes them",
        _TYPES_DATA,
        "network card",
    ),
    Advice(
        ("InvalidParameterCombination",),
        "EC2 gives a node with several network interfaces no public address by itself",
        "Set elastic_ip = true, or let the nodes go out through NAT or a Transit Gateway.",
        "associatepublicip",
    ),
    Advice(
        ("InvalidParameterCombination",),
        "security groups, subnet or address are given beside the network interfaces, and must be inside them",
        _OURS,
        "network interfaces and an instance-level",
    ),
    Advice(
        ("InvalidParameterCombination",),
        "the launch names a reservation and a preference, and EC2 accepts only one of them",
        _OURS,
        "capacityreservationpreference",
    ),
    # terraform-provider-aws 12450: a rule that an interrupted apply had already created.
    Advice(
        ("InvalidPermission.Duplicate",),
        "the security group has the rule already, and the state does not know it",
        "Run `nixl-efa mend`, then deploy again: an interrupted apply had created it.",
    ),
    Advice(
        ("RulesPerSecurityGroupLimitExceeded",),
        "the security group would have more rules than the account's quota allows",
        "Shorten service_ports, or ask for more in Service Quotas.",
    ),
)

IMAGE_AND_VOLUMES = (
    # errors-overview: "might also occur if the AMI doesn't meet your Allowed AMIs criteria".
    Advice(
        ("InvalidAMIID*",),
        "the image is not there, not shared with the account, or not among its allowed images",
        "Set ami_id to one of this region, or remove it; `aws ec2 get-allowed-images-settings` shows whether the account allows only some.",
    ),
    Advice(
        ("InvalidParameterValue", "UnsupportedOperation"),
        "the image is for another kind of processor than the type",
        "Remove ami_id and ami_parameter, or set one of the type's architecture.",
        "architecture",
    ),
    Advice(
        ("InvalidParameterValue", "UnsupportedOperation", "InvalidParameterCombination"),
        "the image can't boot on the type",
        "Set ami_id to an image that supports UEFI, or remove it.",
        "boot mode",
    ),
    # The message in public logs: "Enhanced networking with the Elastic Network Adapter (ENA) is required".
    Advice(
        ("InvalidParameterCombination",),
        "the image has no driver for the type's network (ENA)",
        "Set ami_id to an image with ENA enabled, or remove it.",
        "elastic network adapter",
    ),
    Advice(
        ("InvalidBlockDeviceMapping",),
        "the root volume does not fit the image",
        "Raise volume_size to the image's size or more.",
    ),
    Advice(
        ("VolumeLimitExceeded",),
        "the account's quota of EBS storage in the region is used up",
        "Delete volumes, lower volume_size, or ask for more storage of gp3 volumes (Amazon EBS) in Service Quotas.",
    ),
    Advice(
        ("MaxIOPSLimitExceeded", "VolumeIOPSLimit"),
        "the volumes ask for more IOPS than is allowed",
        "Lower volume_iops, or ask for more in Service Quotas (Amazon EBS).",
    ),
    Advice(
        ("VolumeTypeNotAvailableInZone", "UnknownVolumeType", "BootForVolumeTypeUnsupported"),
        "the zone has no volumes of this kind",
        "Take another zone.",
    ),
    # EBS user guide, encryption-requirements: the key must be enabled, and the caller must be allowed to use it.
    Advice(
        (
            "InvalidKMSKey.InvalidState",
            "KMSInvalidStateException",
            "DisabledException",
            "CustomerKeyHasBeenRevoked",
        ),
        "the KMS key that encrypts the volumes is disabled, waits for its deletion, or may not be used",
        f"{_KEY}: enable it (`aws kms enable-key`), let your role use it (its key policy), or set kms_key_id to another.",
    ),
    Advice(
        ("InvalidKMSKey*", "KMSKeyNotAccessibleFault"),
        "the KMS key that encrypts the volumes can't be used",
        f"{_KEY}: look at its state and key policy.",
    ),
    Advice(
        ("InvalidSnapshot.NotFound",),
        "a snapshot of the image is not there",
        "Set ami_id to another image, or remove it.",
    ),
    Advice(
        ("InvalidKeyPair.NotFound",),
        "the key pair is not there",
        "Set key_name to one of this region, or remove it.",
    ),
    Advice(
        ("InvalidParameterValue",),
        "EC2 does not know the nodes' instance profile, or not yet",
        "Deploy again in a minute: IAM changes take a while. One of your own (the setting instance_profile) must be in this account.",
        "iam instance profile",
    ),
    Advice(
        ("InvalidParameterValue",),
        "the user data is too long",
        "Shorten what the settings give the nodes at boot.",
        "user data is limited",
    ),
    Advice(
        ("InvalidParameterValue", "InvalidInstanceType", "InvalidInstanceAttributeValue"),
        "the region has no such instance type",
        "Set instance_type to one of the region; `nixl-efa instance-types list` shows them.",
        "instancetype",
    ),
    Advice(
        ("InvalidInstanceType",),
        "the region has no such instance type",
        "Set instance_type to one of the region; `nixl-efa instance-types list` shows them.",
    ),
)

NAMES_AND_TAGS = (
    # EC2 user guide, work-with-tags-in-IMDS.
    Advice(
        ("InvalidParameterValue",),
        "a tag's key is not allowed by EC2 while tags are in the instance metadata",
        "Rename it in the setting tags: letters, digits and + - = . , _ : @ alone, no space and no slash.",
        "tag key",
    ),
    Advice(
        ("InvalidTagKey*", "TagLimitExceeded"),
        "EC2 does not accept the tags",
        "Set fewer tags (50 at most), with keys that don't begin with aws:.",
    ),
    Advice(
        (
            "InvalidGroup.Duplicate",
            "InvalidPlacementGroup.Duplicate",
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "InvalidKeyPair.Duplicate",
            "EntityAlreadyExists",
            "BucketAlreadyExists",
            "BucketAlreadyOwnedByYou",
            "ParameterAlreadyExists",
        ),
        "the name is taken",
        _TAKEN,
    ),
    # S3's own lock and DynamoDB's, in Terraform's "Error acquiring the state lock": hashicorp/terraform 35661 and 32690.
    Advice(
        ("PreconditionFailed", "ConditionalCheckFailedException"),
        "somebody else's Terraform works on the state and holds its lock",
        "Wait until it has ended, and deploy again; `nixl-efa mend` removes a lock that a killed run of yours left on this machine.",
    ),
    # aws-cli 2593, terraform-provider-aws 7628: it usually takes a minute, and up to an hour.
    Advice(
        ("OperationAborted",),
        "S3 is still working on the bucket, or on deleting one with the same name",
        "Deploy again in some minutes; a bucket's name is free an hour after its end at the latest.",
    ),
    # Systems Manager refuses a name under /aws that is not one of its public names.
    Advice(
        ("ValidationException", "InvalidParameterValue", "ParameterNotFound"),
        "no public parameter has this name, and names that begin with aws or ssm are AWS's own",
        "Look at the parameter's name in the settings: public ones are listed by `aws ssm get-parameters-by-path --path /aws/service/...`, and your own parameters begin with a slash and another word.",
        "namespace",
    ),
    Advice(
        ("AccessDeniedException", "ValidationException"),
        "names that begin with aws or ssm are AWS's own",
        "Give the parameter another name, one that begins with a slash.",
        "reserved parameter name",
    ),
    Advice(
        ("ValidationException",),
        "the parameter's name is not one that Systems Manager takes",
        "Give it a full name that begins with a slash and has letters, digits and . - _ alone, and no aws or ssm at its beginning.",
        "parameter name",
    ),
    Advice(
        ("ParameterNotFound", "ParameterVersionNotFound"),
        "the parameter is not there in this region",
        "Compare its name and the region with the settings.",
    ),
)

RESOURCES = (*NETWORK, *IMAGE_AND_VOLUMES, *NAMES_AND_TAGS)

# Advice by the form of a code alone; these rows say little, so they are after all others.
BY_THE_LOOK_OF_THE_CODE = (
    Advice(
        ("InvalidParameterCombination", "InvalidParameterDependency"),
        "two of the settings exclude each other",
        "Read AWS's message, and change the setting that they name.",
    ),
    Advice(
        ("UnsupportedOperation",),
        "the type can't do what is asked of it",
        "Read AWS's message, or take another type.",
    ),
    Advice(
        ("Unsupported",),
        "the type is not offered in this zone or in this way",
        "Set availability_zone to a zone that offers it; `type offered` above names them.",
    ),
    Advice(
        ("OperationNotPermitted",),
        "AWS does not allow this of what is there",
        "Read AWS's message: something protects it, or does not support it.",
    ),
    Advice(
        ("*LimitExceeded", "*LimitExceededException", "*CountExceeded", "LimitExceeded", "TooManyBuckets"),
        "a quota of the account is reached",
        "Ask for more in Service Quotas, or remove some of what AWS's message names.",
    ),
    Advice(("Insufficient*Capacity",), "AWS has no capacity for it now", "Try another zone, or later."),
    Advice(
        ("*.NotFound", "*.NotFoundException", "*.Unknown", "NoSuchEntity"),
        "what the request names is not there in this region and account",
        "Compare what AWS's message names with the settings; after an interrupted deployment, `nixl-efa mend` shows what is gone.",
    ),
    Advice(
        ("*.Malformed", "*.MalformedException"),
        "what the request names is not well formed",
        "Copy the whole id or name into the setting.",
    ),
    Advice(("*.Duplicate", "*AlreadyExists", "*AlreadyExistsException"), "the name is taken", _TAKEN),
    Advice(
        ("DependencyViolation", "*.InUse"),
        "something else still uses it",
        "Remove what uses it first; what ends is free some minutes later.",
    ),
)
