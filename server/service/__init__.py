"""The service behind every route: voices, admission, jobs, listeners, the response cache."""
