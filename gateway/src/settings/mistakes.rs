//! What keeps settings from being used: all of it at once, each with its place.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// File and line, variable or argument. None: a default.
    pub origin: Option<String>,
    /// `section.key`; empty where none can be told.
    pub key: String,
    pub message: String,
}

impl Mistake {
    pub(super) fn new(origin: Option<&str>, key: &str, message: impl Into<String>) -> Self {
        Self { origin: origin.map(str::to_owned), key: key.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.origin.as_deref(), Some(self.key.as_str()).filter(|key| !key.is_empty())];
        parts.into_iter().flatten().try_for_each(|part| write!(f, "{part}: "))?;
        f.write_str(&self.message)
    }
}

/// Never empty.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}")?,
            several => {
                write!(f, "the settings cannot be used, for {} reasons:", several.len())?;
                several.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
            }
        }
        f.write_str("\n  see config/holdfast.toml for every key")
    }
}
