"""BERT-style encoders."""
