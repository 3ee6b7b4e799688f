# One image for the three processes: web (default), worker, beat.
FROM python:3.12-slim AS build
COPY requirements.txt .
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.12-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static
RUN useradd --system --home-dir /srv/portal portal
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/portal
COPY manage.py ./
COPY portal portal
COPY provisioning provisioning
COPY teams teams
COPY templates templates
# The stand-ins of the demo have no place in production.
RUN rm -rf portal/demo && python manage.py collectstatic --no-input --skip-checks
USER portal
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["gunicorn", "portal.wsgi", "--config", "portal/gunicorn.py"]
