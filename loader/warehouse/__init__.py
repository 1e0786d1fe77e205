"""DuckDB and SQL Server: the staged rows and the journal. Nothing here knows CRM."""
