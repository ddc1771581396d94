"""Health, the OpenAPI document, and the answer to paths nobody serves."""
