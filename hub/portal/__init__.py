"""The account page, as far as the account goes, and the page on which a forgotten password is replaced."""
