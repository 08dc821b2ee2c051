"""Networks: the autoencoder, the image and time encoders, the world model built of them, and model folders."""
