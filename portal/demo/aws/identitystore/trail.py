"""What CloudTrail writes down of the calls that change an identity store."""

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from portal.demo.aws import events
from portal.demo.aws.errors import ApiError
from portal.demo.aws.identitystore.lookup import plain
from portal.demo.aws.service import Context, Operation


def logged(perform: Operation) -> Operation:
    """Return the operation with an event after each call; after refused ones too, if the personality says so."""

    def run(context: Context, params: dict[str, Any]) -> dict[str, Any]:
        try:
            result = perform(context, params)
        except ApiError as fault:
            if context.personality.failed_events:
                _write(context, params, {}, fault)
            raise
        _write(context, params, result)
        return result

    return run


def _write(context: Context, params: dict[str, Any], result: dict[str, Any], fault: ApiError | None = None) -> None:
    store = context.state.identity_stores.get(plain(params["IdentityStoreId"]))
    if store is None:
        return
    envelope = store.envelope
    if fault:
        envelope |= {"error_code": fault.code, "error_message": fault.message}
    caller = context.caller
    identity = {
        "type": "AssumedRole" if caller.session_name else "IAMUser",
        "accountId": caller.account,
        "arn": caller.arn,
    }
    answer = {_lower(name): value for name, value in result.items() if name != "Revision" and not name.endswith("Arn")}
    asked = _masked(context.model.input_shape, params)
    store.publish(events.call("identitystore", context.model.name, asked, answer or None, identity, **envelope))


def _masked(shape: Shape | None, value: Any) -> Any:
    """Return parameters as CloudTrail shows them: names begin in lower case, and what is sensitive is hidden."""
    if shape is None or shape.metadata.get("sensitive") or getattr(shape, "is_document_type", False):
        return events.HIDDEN
    if isinstance(shape, StructureShape):
        return {_lower(name): _masked(shape.members[name], member) for name, member in value.items()}
    if isinstance(shape, ListShape):
        return [_masked(shape.member, member) for member in value]
    if isinstance(shape, MapShape):
        return {key: _masked(shape.value, member) for key, member in value.items()}
    return value


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
