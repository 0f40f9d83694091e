"""The parametrisations, which compute the change of a site from its trained tensors, with one module for each."""
