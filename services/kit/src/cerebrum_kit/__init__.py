"""What every Cerebrum service shares. This package knows no service, and nothing here keeps global state."""
