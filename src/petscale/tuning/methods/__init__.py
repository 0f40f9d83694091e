"""One short file a method; `catalogue` lists them."""
