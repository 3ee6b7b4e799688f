"""Settings, all of them read from the environment; `docs/configuration.md` lists the names.

A value that is missing or contradicts another never raises here. It is noted in `PROBLEMS`, which `portal.checks`
reports with a name and a hint before anything starts.
"""

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

# (check id, message, hint), filled below where a value cannot even be read.
PROBLEMS: list[tuple[str, str, str]] = []

DEBUG = env.bool("DEBUG", default=False)

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    PROBLEMS.append(("portal.E001", "SECRET_KEY is not set.", "Set it to at least 50 random characters."))
    # Good for this process only, so that the check can still be reported.
    SECRET_KEY = get_random_secret_key()
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

PORTAL_URL = env.str("PORTAL_URL", default="").rstrip("/")
_portal = urlsplit(PORTAL_URL)
LOOPBACK_HTTP = _portal.scheme == "http" and _portal.hostname in {"127.0.0.1", "localhost", "::1"}
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])

INSTALLED_APPS = [
    "teams.apps.TeamsConfig",
    "provisioning.apps.ProvisioningConfig",
    "portal.apps.PortalConfig",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "djangosaml2",
]

MIDDLEWARE = [
    "portal.health.HealthMiddleware",
    "portal.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.saml.middleware.SamlStateMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.middleware.SessionUseMiddleware",
    "portal.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
AUTH_USER_MODEL = "teams.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- PostgreSQL and Redis -------------------------------------------------------------------------------------------

try:
    DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url("DATABASE_URL")}
except environ.ImproperlyConfigured:
    PROBLEMS.append(("portal.E002", "DATABASE_URL is not set or cannot be read.", "Set postgresql://user@host/name."))
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "unset"}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A launch gives its connection back before it calls AWS, which is cheap only with a pool.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=5,
        pool={"min_size": 0, "max_size": env.int("DATABASE_POOL_SIZE", default=20), "timeout": 10},
    )

REDIS_URL = env.str("REDIS_URL", default="")
_REDIS_TIMEOUTS = {"socket_connect_timeout": 2, "socket_timeout": 2}
CACHES = {
    "default": {
        "BACKEND": "portal.caching.RedisCache",
        "LOCATION": REDIS_URL or "redis://127.0.0.1:6379/0",
        "KEY_PREFIX": "portal",
        "OPTIONS": _REDIS_TIMEOUTS,
    },
}

# --- Sessions, cookies, HTTPS ---------------------------------------------------------------------------------------

SESSION_ENGINE = "portal.sessions"
SESSION_COOKIE_AGE = env.int("SESSION_COOKIE_AGE", default=12 * 3600)
# How long a session may go unused, in seconds; 0 switches the limit off.
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=4 * 3600)
SESSION_COOKIE_NAME = "portal_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = not LOOPBACK_HTTP
CSRF_COOKIE_NAME = "portal_csrf"
CSRF_COOKIE_SECURE = not LOOPBACK_HTTP
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PORTAL_URL] if _portal.scheme and _portal.netloc else []
SECURE_SSL_REDIRECT = not LOOPBACK_HTTP
SECURE_HSTS_SECONDS = 0 if LOOPBACK_HTTP else env.int("SECURE_HSTS_SECONDS", default=365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=True)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# How many reverse proxies stand in front: their X-Forwarded-For and X-Forwarded-Proto are believed, nobody else's.
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def _studio_sources() -> list[str]:
    """Where a presigned URL may lead: Studio's own hosts, and the configured AWS endpoint where one is set."""
    sources = ["https://*.sagemaker.aws", "https://*.sagemaker.amazonaws.com.cn"]
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"):
        endpoint = urlsplit(env.str(name, default=""))
        if endpoint.scheme and endpoint.netloc:
            sources.append(f"{endpoint.scheme}://{endpoint.netloc}")
    if LOOPBACK_HTTP:
        sources += ["http://127.0.0.1:*", "http://localhost:*"]
    return sources + env.list("STUDIO_SOURCES", default=[])


CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        # The launch form posts here and is redirected to Studio, and browsers apply form-action to redirects too.
        "form-action": [SELF, *_studio_sources()],
    },
}

# --- SAML -----------------------------------------------------------------------------------------------------------

SAML_IDP_METADATA = env.str("SAML_IDP_METADATA", default="")
SAML_ENTITY_ID = env.str("SAML_ENTITY_ID", default="") or f"{PORTAL_URL}/saml2/metadata/"
SAML_ATTRIBUTE_USER = env.str("SAML_ATTRIBUTE_USER", default="ssouserid")
SAML_ATTRIBUTE_TEAM = env.str("SAML_ATTRIBUTE_TEAM", default="teamid")
SAML_ATTRIBUTE_GROUPS = env.str("SAML_ATTRIBUTE_GROUPS", default="groups")
SAML_ATTRIBUTE_EMAIL = env.str("SAML_ATTRIBUTE_EMAIL", default="email")
SAML_ATTRIBUTE_NAME = env.str("SAML_ATTRIBUTE_NAME", default="name")
SAML_ALLOW_UNSOLICITED = env.bool("SAML_ALLOW_UNSOLICITED", default=True)
# Whether metadata may be fetched from loopback and private addresses, for identity providers inside.
SAML_METADATA_ALLOW_PRIVATE = env.bool("SAML_METADATA_ALLOW_PRIVATE", default=False)
SAML_MAX_MESSAGE_BYTES = env.int("SAML_MAX_MESSAGE_BYTES", default=256 * 1024)
# Refused messages of one address a minute, of those that no known key signed, above which less work is done for them.
SAML_REFUSALS_PER_MINUTE = env.int("SAML_REFUSALS_PER_MINUTE", default=600)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# The portal's own key, as PEM files: it signs requests, opens encrypted assertions and makes single logout possible.
SAML_SP_KEY = env.str("SAML_SP_KEY", default="")
SAML_SP_CERTIFICATE = env.str("SAML_SP_CERTIFICATE", default="")
SAML_SP_KEY_NEXT = env.str("SAML_SP_KEY_NEXT", default="")
SAML_SP_CERTIFICATE_NEXT = env.str("SAML_SP_CERTIFICATE_NEXT", default="")
SAML_SIGN_REQUESTS = env.bool("SAML_SIGN_REQUESTS", default=True)
SAML_CONTACT_TECHNICAL = env.str("SAML_CONTACT_TECHNICAL", default="")
SAML_ORGANIZATION = env.str("SAML_ORGANIZATION", default="")

# Members of these groups of the identity provider get the built-in roles at sign-on.
PORTAL_ADMIN_GROUPS = env.list("PORTAL_ADMIN_GROUPS", default=[])
PORTAL_AUDITOR_GROUPS = env.list("PORTAL_AUDITOR_GROUPS", default=[])

# Whether local accounts may sign on to the admin with a password; `manage.py breakglass` works without.
ADMIN_PASSWORD_LOGIN = env.bool("ADMIN_PASSWORD_LOGIN", default=LOOPBACK_HTTP)
AUTHENTICATION_BACKENDS = ["portal.saml.backend.SamlBackend", "portal.breakglass.BreakGlassBackend"]
if ADMIN_PASSWORD_LOGIN:
    AUTHENTICATION_BACKENDS.append("django.contrib.auth.backends.ModelBackend")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/saml2/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# Whom a person without a team is told to ask; plain text, a mail address or an https link.
SUPPORT_CONTACT = env.str("SUPPORT_CONTACT", default="")

# --- Access that people give each other, and mail about it -----------------------------------------------------------

# For how many days access may be given by hand, and how many days before its end people are reminded.
ACCESS_MAX_DAYS = env.int("ACCESS_MAX_DAYS", default=365)
ACCESS_REMINDER_DAYS = env.int("ACCESS_REMINDER_DAYS", default=7)

# Without EMAIL_URL nothing is sent. The address itself is not kept: it holds the password.
MAIL_IS_ON = bool(env.str("EMAIL_URL", default=""))
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
if MAIL_IS_ON:
    try:
        vars().update(env.email_url("EMAIL_URL"))
    except (environ.ImproperlyConfigured, ValueError):
        _hint = "Set smtp://, smtp+tls:// or smtp+ssl://user:password@host:port, the password URL-encoded."
        PROBLEMS.append(("portal.E020", "EMAIL_URL cannot be read.", _hint))
        MAIL_IS_ON = False
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or f"studio-portal@{_portal.hostname or 'localhost'}"

# --- What running apps cost -----------------------------------------------------------------------------------------

# What the price table is in; amounts are shown with it and never converted.
CURRENCY = env.str("CURRENCY", default="USD")
# For how many days the hours of apps are kept.
USAGE_DAYS = env.int("USAGE_DAYS", default=400)

# --- AWS ------------------------------------------------------------------------------------------------------------

AWS_REGION = env.str("AWS_REGION", default="") or env.str("AWS_DEFAULT_REGION", default="")
# AWS allows so many calls of each API of an identity store; all workers share them.
IDENTITYSTORE_CALLS_PER_SECOND = env.float("IDENTITYSTORE_CALLS_PER_SECOND", default=20.0)
# So many calls of each API of SageMaker in one account and Region all workers make; AWS does not say what it allows.
SAGEMAKER_CALLS_PER_SECOND = env.float("SAGEMAKER_CALLS_PER_SECOND", default=10.0)
# AWS allows 20 calls a second of all APIs of an Identity Center instance together; others call it too.
SSO_ADMIN_CALLS_PER_SECOND = env.float("SSO_ADMIN_CALLS_PER_SECOND", default=10.0)
# Every so many minutes the apps of each domain are read (0: never), and a running app is asked for its last activity.
APPS_SCAN_MINUTES = env.int("APPS_SCAN_MINUTES", default=5)
APPS_ACTIVITY_MINUTES = env.int("APPS_ACTIVITY_MINUTES", default=60)
# Each domain that has teams is compared with what should be every so many hours; 0: only when somebody asks.
RECONCILE_HOURS = env.int("RECONCILE_HOURS", default=6)

# --- Celery ---------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL or "redis://127.0.0.1:6379/0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# AWS calls wait, so threads beat processes; every wait has its own deadline, because this pool has no time limits.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=16)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {**_REDIS_TIMEOUTS, "visibility_timeout": 3600}
# What is due is decided by rows, so beat remembers nothing and needs no file.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "provisioning.tasks.sweep", "schedule": 10.0, "options": {"expires": 30}},
    "end_access": {"task": "provisioning.tasks.end_access", "schedule": 30.0, "options": {"expires": 25}},
    "prepare": {"task": "provisioning.tasks.prepare_missing", "schedule": 60.0, "options": {"expires": 50}},
    "directories": {"task": "provisioning.tasks.sweep_directories", "schedule": 10.0, "options": {"expires": 30}},
    # Which domains are due is in their rows: daily, and every five minutes while something is not as it should be.
    "domains": {"task": "provisioning.tasks.look_at_domains", "schedule": 60.0, "options": {"expires": 50}},
    "count_usage": {"task": "provisioning.tasks.count_usage", "schedule": 60.0, "options": {"expires": 50}},
    "purge_usage": {"task": "provisioning.tasks.purge_usage", "schedule": crontab(hour="4", minute="7")},
    "apps": {"task": "provisioning.tasks.sweep_apps", "schedule": 10.0, "options": {"expires": 30}},
    "cleanup": {"task": "provisioning.tasks.clean_up_apps", "schedule": 60.0, "options": {"expires": 50}},
    "purge_directories": {
        "task": "provisioning.tasks.purge_directories",
        "schedule": crontab(hour="3", minute="47"),
    },
    "reconcile": {"task": "provisioning.tasks.sweep_reconciliations", "schedule": 60.0, "options": {"expires": 50}},
    "purge_reconciliations": {
        "task": "provisioning.tasks.purge_reconciliations",
        "schedule": crontab(hour="4", minute="7"),
    },
    # Which providers are due is in their rows: hourly, and every five minutes after a failure.
    "refresh_identity_providers": {
        "task": "portal.tasks.refresh_identity_providers",
        "schedule": 300.0,
        "options": {"expires": 240},
    },
    "expire_access": {"task": "portal.tasks.expire_access", "schedule": 60.0, "options": {"expires": 50}},
    "send_mail": {"task": "portal.tasks.send_mail", "schedule": 60.0, "options": {"expires": 50}},
    "clear_sessions": {"task": "portal.tasks.clear_sessions", "schedule": crontab(hour="3", minute="17")},
}

# --- Static files ---------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS: list[Path] = []
_collected = (STATIC_ROOT / "staticfiles.json").exists()
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _collected
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}
# Without `collectstatic` the files are found in the source tree, so that a first start needs no build step.
WHITENOISE_USE_FINDERS = not _collected
if not _collected:
    warnings.filterwarnings("ignore", message="No directory at")
WHITENOISE_AUTOREFRESH = DEBUG

# --- Language, time, log --------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "portal.logs.RequestFilter"}, "secrets": {"()": "portal.logs.SecretsFilter"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request", "secrets"]},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # These log whole messages or URLs at DEBUG, and pysaml2 logs rejected assertions at ERROR.
        "saml2": {"level": "CRITICAL"},
        "djangosaml2": {"level": "CRITICAL"},
        "signxml": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "xmlschema": {"level": "WARNING"},
    },
}
