"""What an error of boto3 or AWS means for the user: one line that says what to do."""

from nixl_efa.failure import Failure
from nixl_efa.refusals import Refusal, advice_for, denial, missing, names_cause, said

# The member of ResponseMetadata that holds the name which a service has in permissions ("ssm"); nixl_efa.aws puts it
# there, since an error has the answer, but does not know its client.
ANSWERED_BY = "Service"

_CREDENTIALS = (
    "Run `aws configure` or `aws sso login`, set AWS_PROFILE, or give --profile; "
    "`aws sts get-caller-identity` shows who you are."
)
_REGION = "Give --region, set AWS_REGION, or put a region into the profile."
_NETWORK = "Check the network (VPN, proxy), the region's name and AWS_ENDPOINT_URL."

# By the name of the exception's class, so that botocore needn't be imported for the message.
_BY_CLASS = {
    "NoCredentialsError": f"there are no AWS credentials. {_CREDENTIALS}",
    "PartialCredentialsError": f"the AWS credentials are incomplete: {{error}}. {_CREDENTIALS}",
    "CredentialRetrievalError": f"the AWS credentials could not be fetched: {{error}}. {_CREDENTIALS}",
    "TokenRetrievalError": f"the AWS login has ended: {{error}}. {_CREDENTIALS}",
    "UnauthorizedSSOTokenError": f"the AWS login has ended. {_CREDENTIALS}",
    "SSOTokenLoadError": f"there is no AWS login: {{error}}. {_CREDENTIALS}",
    "LoginRefreshRequired": f"the AWS login has ended. {_CREDENTIALS}",
    "LoginTokenLoadError": f"there is no AWS login: {{error}}. {_CREDENTIALS}",
    "ProfileNotFound": "{error}. `aws configure list-profiles` shows the profiles; give one with "
    "--profile or AWS_PROFILE.",
    "NoRegionError": f"no AWS region is chosen. {_REGION}",
    "InvalidRegionError": f"{{error}} {_REGION}",
    "UnknownRegionError": f"{{error}} {_REGION}",
    "EndpointConnectionError": f"{{error}} {_NETWORK}",
    "ConnectTimeoutError": f"{{error}}. {_NETWORK}",
    "ReadTimeoutError": f"{{error}}. {_NETWORK}",
    "ConnectionClosedError": f"{{error}} {_NETWORK}",
    "ProxyConnectionError": f"{{error}} {_NETWORK}",
    "SSLError": f"{{error}}. {_NETWORK}",
    "HTTPClientError": f"{{error}}. {_NETWORK}",
    "ParamValidationError": "AWS would not take these values: {error}",
}


def error_code(error: Exception) -> str:
    """The code in AWS's answer ("UnauthorizedOperation"), empty for an error that isn't an answer."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def error_status(error: BaseException) -> int:
    """The HTTP status of AWS's answer, 0 for an error that isn't an answer."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return int(metadata.get("HTTPStatusCode", 0))


def is_network(error: Exception) -> bool:
    """Whether AWS could not be reached."""
    return any(_NETWORK in _BY_CLASS.get(kind.__name__, "") for kind in type(error).__mro__)


def error_service(error: Exception) -> str:
    """The service that answered, by its name in permissions ("ssm"); empty when that isn't known."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return str(metadata.get(ANSWERED_BY, ""))


def error_message(error: Exception) -> str:
    """The message in AWS's answer, else the error's own text."""
    response = getattr(error, "response", None)
    message = response.get("Error", {}).get("Message", "") if isinstance(response, dict) else ""
    return str(message or error)


def refusal_of(error: Exception) -> Refusal:
    """AWS's answer in an error; its code is empty for an error that isn't an answer."""
    operation = str(getattr(error, "operation_name", ""))
    return Refusal(error_code(error), " ".join(error_message(error).split()), operation)


def missing_permission(error: Exception) -> str:
    """The permission that an answer says is missing ("ec2:PurchaseCapacityBlock"), empty for other errors."""
    return missing(refusal_of(error), error_service(error))


def explain(error: Exception) -> str:
    """One line for any error, of boto3, AWS or anything else: what happened and, where it is known, what to do."""
    if isinstance(error, Failure):
        return error.message
    text = " ".join(str(error).split()).rstrip(".")
    refusal = refusal_of(error)
    if denied := denial(refusal, error_service(error)):
        words = f" ({said(refusal)})" if names_cause(refusal) else ""
        return f"no permission: {denied.meaning}{words}. {denied.remedy}"
    if refusal.code:
        advice = advice_for(refusal)
        meant = f", which means that {advice.meaning}. {advice.remedy}" if advice else ""
        return f"{refusal.operation or 'a call'} was refused: {said(refusal)}{meant}"
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__].format(error=text).replace(". .", ".")
    if isinstance(error, OSError):
        return text
    return f"{type(error).__name__}: {text} (set NIXL_EFA_TRACEBACK=1 to see where)"
