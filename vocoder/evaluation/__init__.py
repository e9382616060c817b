"""Quality of a voice: likelihood, copy synthesis compared with Griffin-Lim, and reports."""
