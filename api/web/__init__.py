"""The web page: rendered here from the same functions that answer the API; JavaScript only keeps it up to date."""
