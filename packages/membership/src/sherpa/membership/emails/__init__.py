"""E-mail behind a Protocol: Resend in production, a folder in development, memory in tests."""
