"""The door `mini_program`: its code opens the mini program, which scans and answers for its person."""
