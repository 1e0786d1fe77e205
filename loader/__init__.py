"""Pushes dbt's `crm_*` views to Dynamics 365 Sales."""

__version__ = "0.1.0"
