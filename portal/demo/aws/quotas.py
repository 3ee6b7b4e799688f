"""Service Quotas: how many user profiles an account may have in a Region."""

from typing import Any

from portal.demo.aws.errors import ApiError
from portal.demo.aws.service import Context, Service

PROFILES = "L-AC46C40F"


def get_service_quota(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetServiceQuota: knows the quota of Studio's user profiles only."""
    if (params["ServiceCode"], params["QuotaCode"]) != ("sagemaker", PROFILES):
        raise ApiError("NoSuchResourceException", "The request failed because the specified service does not exist.")
    account = context.state.accounts[context.caller.account]
    return {
        "Quota": {
            "ServiceCode": "sagemaker",
            "QuotaCode": PROFILES,
            "QuotaName": "Maximum number of Studio user profiles allowed per account",
            "Value": float(account.max_profiles),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
    }


SERVICE = Service(
    name="service-quotas",
    operations={"GetServiceQuota": get_service_quota},
    reads=frozenset({"GetServiceQuota"}),
)
