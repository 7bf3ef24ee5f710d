"""What a request takes and costs: tokens of a picture by model family, and prices. Pure."""
