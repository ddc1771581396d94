"""OAuth 2.0, our side of it: whom people sign in with and connect to, by authorization code and PKCE."""
