"""What every API function is built of: the app, the envelope around it, problems, conditional and repeated requests."""
