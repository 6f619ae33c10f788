"""The architectures of the catalogue as torch modules, and the pooling in windows that they share."""
