//! The setting `log.level`: a level, or levels of modules.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// The filter of a level, or of levels of modules.
///
/// # Errors
/// Says why it is none.
pub fn parse(level: &str) -> Result<EnvFilter, String> {
    // A word of its own that is no level would be taken for the name of a module, of which everything is logged.
    if level.trim().is_empty() {
        return Err("names no level: error, warn, info, debug or trace".to_owned());
    }
    let word = |part: &str| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    if let Some(other) = level.split(',').map(str::trim).find(|part| !word(part)) {
        return Err(format!("{other:?} is neither error, warn, info, debug or trace nor MODULE=LEVEL"));
    }
    // The driver tells of every connection: of interest to whoever asks for it.
    EnvFilter::try_new(format!("scylla=warn,{level}")).map_err(|error| error.to_string())
}
