"""How the manifest is stood up: on AWS by CDK, on one machine by `infra.local`."""
