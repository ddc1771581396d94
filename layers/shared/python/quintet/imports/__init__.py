"""Tables that people upload, and the contacts in them."""
