"""What administrators do in the browser: the live figures, and looking after accounts."""
