"""The gateway to AWS: the only package that knows boto3 and botocore; its verbs return dataclasses and raise `errors`."""
