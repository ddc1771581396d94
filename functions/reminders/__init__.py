"""What people are told in their morning: tasks due tomorrow, and the day's digest."""
