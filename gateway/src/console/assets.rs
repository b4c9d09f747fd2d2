//! The files of the console's pages, each under an address with its digest.
//!
//! Invariant: an address names these bytes for ever, so that browsers may keep them and never mix two releases.

use data_encoding::HEXLOWER;
use std::sync::LazyLock;

/// A file that pages load.
pub struct Asset {
    /// The last segment of its address.
    pub name: String,
    pub content_type: &'static str,
    pub text: &'static str,
}

pub static STYLE: LazyLock<Asset> = LazyLock::new(|| asset("console", "css", "text/css", include_str!("console.css")));
pub static LIVE: LazyLock<Asset> = LazyLock::new(|| asset("live", "js", SCRIPT, include_str!("live.js")));
pub static ACT: LazyLock<Asset> = LazyLock::new(|| asset("act", "js", SCRIPT, include_str!("act.js")));

const SCRIPT: &str = "text/javascript";
/// Hexadecimal digits of a digest in an address: two files of one name differ in them.
const DIGITS: usize = 16;

fn asset(stem: &str, extension: &str, content_type: &'static str, text: &'static str) -> Asset {
    let digest = HEXLOWER.encode(&blake3::hash(text.as_bytes()).as_bytes()[..DIGITS / 2]);
    Asset { name: format!("{stem}-{digest}.{extension}"), content_type, text }
}

impl Asset {
    pub fn path(&self) -> String {
        format!("/console/files/{}", self.name)
    }
}

/// The file of this name.
pub fn named(name: &str) -> Option<&'static Asset> {
    [&*STYLE, &*LIVE, &*ACT].into_iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_under_its_digest_and_under_no_other() {
        assert!(named(&STYLE.name).is_some_and(|asset| asset.text.contains("color-scheme")));
        for wrong in ["console.css", "console-0000000000000000.css", "", "../console.css"] {
            assert!(named(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn nothing_of_the_console_comes_from_elsewhere() {
        for asset in [&*STYLE, &*LIVE, &*ACT] {
            for elsewhere in ["http:", "https:", "url(//", "@import"] {
                assert!(!asset.text.contains(elsewhere), "{} names {elsewhere}", asset.name);
            }
        }
    }
}
