"""Events to webhooks: each where its owner may read it, signed, until it has arrived or a day is over."""
