"""A file or folder whole or not at all; downloads and archives. Knows nothing of what is in them."""
