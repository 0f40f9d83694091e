"""Code that families of one form share: encoders with a classification head, and encoder-decoders."""
