"""The ways a message leaves the hub: one small adapter per provider, all behind one port."""
