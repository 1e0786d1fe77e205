"""DuckDB and SQL Server: the staged rows and the journal. CRM is not known here."""
