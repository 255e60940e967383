"""What a new migration might say: the way from the database as it is to the tables as declared, and back."""
