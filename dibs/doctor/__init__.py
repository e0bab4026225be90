"""What is ready here, what is missing or slow, and the command that mends it; nothing heavy is imported."""
