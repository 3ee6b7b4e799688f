"""djangosaml2 with the settings that its documentation and common advice end at, one configuration per process."""

import os

import environ
import saml2
from saml2.config import SPConfig

PORTAL_URL = os.environ["PORTAL_URL"]

SECRET_KEY = "for-the-comparison-only-" + "x" * 50
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.bench.stock.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "djangosaml2"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "djangosaml2.middleware.SamlSessionMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
AUTHENTICATION_BACKENDS = ["djangosaml2.backends.Saml2Backend"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": environ.Env().db_url("DATABASE_URL")}
# As the portal has it: otherwise each request of the comparison would open a connection of its own.
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 0, "max_size": 4}
USE_TZ = True
SESSION_COOKIE_SECURE = False
LOGIN_REDIRECT_URL = "/"
LOGGING = {"version": 1, "loggers": {name: {"level": "CRITICAL"} for name in ("saml2", "djangosaml2", "xmlschema")}}

SAML_CREATE_UNKNOWN_USER = True
SAML_USE_NAME_ID_AS_USERNAME = False
SAML_DJANGO_USER_MAIN_ATTRIBUTE = "username"
SAML_ATTRIBUTE_MAPPING = {"ssouserid": ("username",), "email": ("email",), "name": ("last_name",)}
SAML_DEFAULT_BINDING = saml2.BINDING_HTTP_REDIRECT
SAML_CSP_HANDLER = ""
SAML_CONFIG_LOADER = "tests.bench.stock.settings.configuration"

_made: list[SPConfig] = []


def configuration(_request: object = None) -> SPConfig:
    """Return the one configuration of this process."""
    if not _made:
        made = SPConfig()
        made.load(
            {
                "entityid": f"{PORTAL_URL}/saml2/metadata/",
                "xmlsec_binary": os.environ["BENCH_XMLSEC1"],
                "allow_unknown_attributes": True,
                "accepted_time_diff": 180,
                "only_use_keys_in_metadata": True,
                "metadata": {"local": [os.environ["SAML_IDP_METADATA"]]},
                "service": {
                    "sp": {
                        "endpoints": {
                            "assertion_consumer_service": [(f"{PORTAL_URL}/saml2/acs/", saml2.BINDING_HTTP_POST)]
                        },
                        "want_response_signed": False,
                        "want_assertions_signed": False,
                        "want_assertions_or_response_signed": True,
                        "allow_unsolicited": True,
                    }
                },
            }
        )
        _made.append(made)
    return _made[0]
