"""Pages that show results in a browser, a folder each, and the server they share."""
