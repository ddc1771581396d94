"""Emails: one for each event that asks for one, through SES."""
