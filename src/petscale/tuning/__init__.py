"""A method is a plan; one mechanism puts every plan into a model, writes it to a file and takes it out again."""
