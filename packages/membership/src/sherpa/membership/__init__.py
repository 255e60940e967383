"""The domain: members and their billing, and the events that tell of them. It knows no HTTP and no broker."""
