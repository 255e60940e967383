"""The relay: takes events from the outbox to the broker, in order, by one leader for each partition."""
