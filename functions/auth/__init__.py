"""Registration, sign-in, sessions, password reset, email verification, public keys."""
