"""Pure ASGI middleware. Never Starlette's BaseHTTPMiddleware: its `finally` runs when a response starts, not when a
stream ends, and it hides the client's disconnect from the endpoint."""
