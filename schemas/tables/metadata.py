"""What all tables share: their metadata with its naming rules, and the type of numbered rows."""

from sqlalchemy import BigInteger, Integer, MetaData

# SQLite numbers rows only in INTEGER PRIMARY KEY columns
BigId = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
