"""The only way in: limits, authentication, routing, one OpenAPI document."""
