"""Gunicorn's settings: `gunicorn portal.wsgi --config portal/gunicorn.py`; the command line overrides each.

Threads, because a launch waits for AWS: one worker a core, many threads each. Clients and metadata are loaded before
the first request, and nothing is sent before the fork.
"""

import multiprocessing
import os

bind = os.environ.get("BIND", "0.0.0.0:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "0")) or multiprocessing.cpu_count()
threads = int(os.environ.get("WEB_THREADS", "48"))
preload_app = False
timeout = 60
graceful_timeout = 30
keepalive = 75
# Every X-Forwarded header reaches Django, which believes as many proxies as TRUSTED_PROXY_COUNT says.
forwarded_allow_ips = ""
accesslog = None
control_socket_disable = True
