"""The Web API's protocol: requests, batches, metadata, limits. What a record means is not known here."""
