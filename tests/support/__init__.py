"""What tests share: people and what they do, a world of rows, and what is expected of every answer."""
