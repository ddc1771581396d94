"""Messages, their attachments, mentions and reactions."""
