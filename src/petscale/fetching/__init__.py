"""Getting what a study needs: downloads of data sets and backbones, and the checked folder of each backbone."""
