"""Which agents work on a campaign, and the sharing out of its contacts among them."""
