"""What SES reports of sent emails: addresses that bounce or complain get no more."""
