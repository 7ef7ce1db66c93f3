"""A file or folder whole or not at all; downloads and archives, whatever is in them."""
