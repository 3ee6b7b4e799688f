"""The codes of errors from the days of the Query protocol, which SQS still tells, and by which clients know them."""

from portal.demo.aws.errors import ApiError

_OLD = "AWS.SimpleQueueService."
CODES = {
    "QueueDoesNotExist": f"{_OLD}NonExistentQueue",
    "MessageNotInflight": f"{_OLD}MessageNotInflight",
    "EmptyBatchRequest": f"{_OLD}EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": f"{_OLD}TooManyEntriesInBatchRequest",
    "BatchEntryIdsNotDistinct": f"{_OLD}BatchEntryIdsNotDistinct",
    "InvalidBatchEntryId": f"{_OLD}InvalidBatchEntryId",
    "PurgeQueueInProgress": f"{_OLD}PurgeQueueInProgress",
    "UnsupportedOperation": f"{_OLD}UnsupportedOperation",
    "ValidationException": "InvalidParameterValue",
    "ThrottlingException": "RequestThrottled",
    "AccessDeniedException": "AccessDenied",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnknownOperationException": "InvalidAction",
}


def code(fault: ApiError) -> str:
    """Return the code that a client sees."""
    return CODES.get(fault.code, fault.code)
