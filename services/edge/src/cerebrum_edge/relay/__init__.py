"""From a backend's stream to a client's."""
