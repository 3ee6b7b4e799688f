"""The SCIM 2.0 service at `/scim/v2/`: identity providers push their users and groups here (RFC 7643, RFC 7644)."""
