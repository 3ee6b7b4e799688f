"""Addresses below `/scim/v2/`; what they mean is decided behind the token, in `service`."""

from django.urls import re_path

from portal.scim.entry import serve

urlpatterns = [re_path(r"^(?P<path>(?s:.*))\Z", serve, name="scim")]
