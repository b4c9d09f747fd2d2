//! Many connections: what the engine keeps for itself.
