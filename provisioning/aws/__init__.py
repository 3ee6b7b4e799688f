"""The gateway to AWS, the only package that knows boto3: its verbs return dataclasses and raise what `errors` names."""
