"""An AWS endpoint over HTTP on loopback, for the demo and the tests: SageMaker Studio's control plane, STS,
the identity store of IAM Identity Center with the events of its changes, SQS, and as much of IAM and Service Quotas as
a preflight looks at.

It validates every request against botocore's own service models, keeps a state machine with delays, answers with
AWS's error codes, and can be made slow, throttling, forgetful or dead (`personality`). It shares no code with the
portal's own AWS client, so that a misunderstanding of AWS on one side is not repeated on the other. Signatures must
be present and well formed but are not verified: there is nothing here to protect.
"""
