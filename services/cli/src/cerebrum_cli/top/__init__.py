"""`cerebrum top`: how the system does, now, from Prometheus or straight from the services' `/metrics`."""
