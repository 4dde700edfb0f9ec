"""Behind the public names."""
