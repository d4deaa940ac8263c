"""Arrays of the caller: where they lie, and which results go there."""
