"""What families of one form share: an encoder with a classification head, and an encoder-decoder that writes."""
