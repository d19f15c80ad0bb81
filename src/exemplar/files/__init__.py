"""Files: read and written safely, pictures and clips among them."""
