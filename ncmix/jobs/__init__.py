"""What a job is: its settings, tables, life cycle and queue, shared by the API and the workers."""
