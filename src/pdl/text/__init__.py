"""URLs and text: parsed strictly, shown safely."""
