//! Bodies that are slow, large or refused: what they cost others.
