"""One self-contained page of HTML from records."""
