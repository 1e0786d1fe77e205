"""Measures the loader against a CRM and a company of a size that is asked for."""
