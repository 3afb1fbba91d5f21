"""The metric table: ours, a package of others and the original notebook, side by side."""
