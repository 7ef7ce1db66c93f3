"""Several people on the same images: how well they agree, and how close models come."""
