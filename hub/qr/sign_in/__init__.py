"""Where a sign-in begins: our own page, and the element on those of other sites."""
