//! The data directory vanishes under a server.
