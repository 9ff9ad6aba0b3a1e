"""Alembic migrations, shipped in the wheel: `stockfeed db upgrade` works in any container."""
