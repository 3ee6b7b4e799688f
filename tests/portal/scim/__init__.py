"""Tests of the SCIM service."""
