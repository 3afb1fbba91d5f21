"""The schema's history. To add to it, change `tables.py` and write the next file in `versions/` by hand."""
