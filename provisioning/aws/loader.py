"""The loader of botocore's service models, one per process: a second copy of SageMaker's model would cost 20 MB."""

from functools import lru_cache

import botocore.loaders


@lru_cache(maxsize=1)
def loader() -> botocore.loaders.Loader:
    """Return the process-wide loader; models that it has read stay in memory."""
    return botocore.loaders.create_loader()
