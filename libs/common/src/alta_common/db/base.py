"""What all mapped tables share: names of constraints that migrations can rely on."""

from sqlalchemy import MetaData

from alta_common.db.names import checked_identifier

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_metadata(schema: str) -> MetaData:
    """Return metadata whose tables name their `schema` (no search path is used) and whose constraints are named."""
    return MetaData(schema=checked_identifier(schema), naming_convention=_NAMING)
