"""What a database administrator prepares once: a login role per service, the database, and a schema per owner."""

import asyncpg

# A role named here owns the schema beside it; the relay owns nothing and is granted outbox tables by migrations.
SCHEMAS = {"alta_identity": "identity", "alta_projects": "projects", "alta_notifications": "notifications"}
ROLES = (*SCHEMAS, "alta_relay")


async def create_roles_and_schemas(superuser_dsn: str, passwords: dict[str, str], database: str = "alta") -> None:
    """Create what is missing, and set the roles' passwords; running it again changes nothing else.

    `superuser_dsn` names any database of the server; `passwords` has one password per role of `ROLES`.
    """
    # Not the services' database, which may not be there yet.
    server = await asyncpg.connect(superuser_dsn, database="postgres")
    try:
        # Two test runs on one server may do this at the same moment; PostgreSQL's catalogue would refuse one of them.
        await server.execute("SELECT pg_advisory_lock(hashtext('alta_cluster'))")
        for role in ROLES:
            await _create_role(server, role, passwords[role])
        if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await server.execute(f"CREATE DATABASE {_name(database)} ENCODING 'UTF8' TEMPLATE template0")
        await server.execute(f"REVOKE ALL ON DATABASE {_name(database)} FROM PUBLIC")
        await server.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {_name(database)} TO {', '.join(ROLES)}")
    finally:
        await server.close()
    await create_schemas(superuser_dsn, database)


async def create_schemas(superuser_dsn: str, database: str) -> None:
    """Create the schemas of an existing database, each owned by its service's role, which must exist."""
    connection = await asyncpg.connect(superuser_dsn, database=database)
    try:
        for role, schema in SCHEMAS.items():
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}")
        # The schema that PostgreSQL opens to everybody; nothing of ours lives there.
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await connection.close()


async def _create_role(server: asyncpg.Connection, role: str, password: str) -> None:
    known = await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if known else "CREATE"
    # A utility statement takes no parameters, so the server quotes the values itself.
    statement = await server.fetchval(
        "SELECT format('%s ROLE %I LOGIN PASSWORD %L', $1::text, $2::text, $3::text)", verb, role, password
    )
    await server.execute(statement)


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
