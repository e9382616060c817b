"""Quality against recordings: likelihood, copy synthesis beside Griffin-Lim, and the report."""
