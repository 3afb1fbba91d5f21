"""Runs experiments: Celery wakes it, a supervisor holds the lease, a child process trains."""
