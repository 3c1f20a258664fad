"""The database: connections, named queries, migrations."""
