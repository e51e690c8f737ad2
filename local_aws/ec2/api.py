"""How every action of EC2 refuses, filters, pages and tags."""

import fnmatch
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from moto.ec2.exceptions import EC2ClientError

from local_aws.inferred import lean_on

T = TypeVar("T")
Tags = Mapping[str, str]
Values = Mapping[str, Callable[[Any], str]]


def refuse(code: str, message: str, *, inferred: str = "") -> Exception:
    """An error with EC2's code and message, to be raised.

    inferred: the row of docs/facts.md, if nobody has seen EC2 refuse this with this code and these words.
    """
    if inferred:
        lean_on(inferred)
    error: Exception = EC2ClientError(code, message)
    return error


def missing(name: str) -> Exception:
    """The refusal of a request without the parameter `name`, to be raised."""
    return refuse("MissingParameter", f"The request must contain the parameter {name}")


def idempotent(action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An action that runs only once for the same ClientToken: a client that lost the answer gets it again.

    Source: EC2 API reference, "Ensuring idempotency in Amazon EC2 API requests", with its error.
    """

    @functools.wraps(action)
    def once(responder: Any) -> Any:
        token, done = responder._get_param("ClientToken"), responder.ec2_backend.done
        if not token:
            return action(responder)
        key = (action.__name__, token)
        if key not in done:
            done[key] = (responder.params, action(responder))
        asked, answer = done[key]
        if asked != responder.params:
            raise refuse(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return answer

    return once


def tags_for(resource_type: str, specifications: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The tags that a request's TagSpecifications give to one type of resource."""
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in specifications
        if specification.get("ResourceType") == resource_type
        for tag in specification.get("Tags", [])
    }


def only_tags_for(resource_type: str, specifications: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The same, for an action that creates nothing else: other types are refused."""
    for specification in specifications:
        if specification.get("ResourceType") != resource_type:
            raise refuse(
                "InvalidParameterValue",
                f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )
    return tags_for(resource_type, specifications)


def tag_list(tags: Tags) -> list[dict[str, str]]:
    """Tags as the API writes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def matching(
    items: Iterable[T], filters: Sequence[Mapping[str, Any]], values: Values, tags: Callable[[T], Tags]
) -> list[T]:
    """The items that pass every filter; `*` and `?` are wildcards in a filter's values."""
    for given in filters:
        name = given["Name"]
        if not (name in values or name == "tag-key" or name.startswith("tag:")):
            raise refuse("InvalidParameterValue", f"The filter '{name}' is invalid")
    return [item for item in items if all(_passes(item, given, values, tags) for given in filters)]


def _passes(item: T, given: Mapping[str, Any], values: Values, tags: Callable[[T], Tags]) -> bool:
    name = given["Name"]
    if name == "tag-key":
        found = list(tags(item))
    elif name.startswith("tag:"):
        key = name.removeprefix("tag:")
        found = [value for tag, value in tags(item).items() if tag == key]
    else:
        found = [values[name](item)]
    return any(fnmatch.fnmatchcase(value, wanted) for wanted in given.get("Values", []) for value in found)


def page(items: Sequence[T], token: str | None, size: int | None, default: int) -> tuple[list[T], str | None]:
    """One page of `size` items (`default` when not given) from where `token` says, and the next token."""
    if size is not None and not 1 <= size <= 1000:
        raise refuse("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
    start = 0
    if token:
        if not token.startswith("local-") or not token.removeprefix("local-").isdigit():
            raise refuse(
                "InvalidPaginationToken", "The pagination token is invalid.", inferred="bad-next-token"
            )
        start = int(token.removeprefix("local-"))
    end = start + (size or default)
    return list(items[start:end]), (f"local-{end}" if end < len(items) else None)


class Actions:
    """What every class of actions has that is mixed into the EC2 response class. What is declared here is moto's."""

    ec2_backend: Any
    params: dict[str, Any]
    region: str
    partition: str
    current_account: str
    access_key: str
    error_on_dryrun: Callable[[], None]
    _get_param: Callable[..., Any]
    _filters_from_querystring: Callable[[], dict[str, list[str]]]

    def _matching(
        self, items: Iterable[T], values: Values, tags: Callable[[T], Tags] = lambda _: {}
    ) -> list[T]:
        """The items that pass the request's filters."""
        return matching(items, self._get_param("Filters", []), values, tags)

    def _page(self, items: Sequence[T], default: int) -> tuple[list[T], str | None]:
        """The page that the request asks for, of `default` items unless it says how many, and the next token."""
        return page(items, self._get_param("NextToken"), self._get_param("MaxResults"), default)
