"""The service under load: its answers, its writes and its streams, beside MLflow's tracking server."""
