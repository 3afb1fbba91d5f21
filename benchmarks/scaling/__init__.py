"""What fleets of workers do to the database and the broker, by simulation."""
