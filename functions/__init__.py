"""One folder, one Lambda function; `manifest` lists them all."""
