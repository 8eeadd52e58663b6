#!/bin/sh
# What the administrator of a cluster does once: a login role for each service, and the schema that it owns.
set -eu
make_role() { # name, password, schema or nothing
    psql -v ON_ERROR_STOP=1 -U postgres -d "$POSTGRES_DB" -v role="$1" -v password="$2" -v schema="${3:-}" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE :"DBNAME" TO :"role";
SELECT :'schema' <> '' AS has_schema \gset
\if :has_schema
CREATE SCHEMA :"schema" AUTHORIZATION :"role";
\endif
SQL
}
# The relay's role first: the services' migrations grant it their outbox tables.
make_role alta_relay "$ALTA_RELAY_DB_PASSWORD"
make_role alta_identity "$ALTA_IDENTITY_DB_PASSWORD" identity
make_role alta_projects "$ALTA_PROJECTS_DB_PASSWORD" projects
make_role alta_notifications "$ALTA_NOTIFICATIONS_DB_PASSWORD" notifications
