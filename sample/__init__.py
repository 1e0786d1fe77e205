"""A GP company and a CRM organisation that show every case."""
