"""The door `open_platform`: WeChat's own page asks the person, in the browser that wants in."""
