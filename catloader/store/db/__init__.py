"""The only SQLAlchemy and Alembic: tables, repositories, the check queue, migrations."""
