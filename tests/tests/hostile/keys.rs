//! Keys that are lost, made and taken back while the server runs.
