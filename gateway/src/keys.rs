//! API keys: made here, stored as hashes, compared in constant time.
//!
//! A key is `hf_` and 32 random bytes in base32. Random bytes need no slow hash: blake3 of the key is stored.

use crate::settings::KeyEntry;
use compact_str::CompactString;
use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// The keys this server takes.
pub struct ApiKeys {
    hashes: Vec<(CompactString, [u8; 32])>,
}

/// A new key. The secret is shown once and never stored.
pub struct NewKey {
    pub secret: String,
    pub entry: KeyEntry,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("API key {0:?}: the hash must be 64 hexadecimal digits, as `holdfast key new` prints it")]
    Hash(String),
    #[error("{path}: {reason}")]
    File { path: String, reason: std::io::Error },
    #[error("no random numbers: {0}")]
    Random(String),
}

impl ApiKeys {
    /// The keys of the settings and of the data directory. `None` if there are none at all.
    ///
    /// # Errors
    /// If a hash is malformed or the file cannot be read.
    pub fn load(configured: &[KeyEntry], data_dir: Option<&Path>) -> Result<Option<Self>, Error> {
        let mut entries = configured.to_vec();
        if let Some(dir) = data_dir {
            entries.extend(read(&file_in(dir))?);
        }
        let hashes: Result<Vec<_>, Error> = entries.iter().map(parse).collect();
        let hashes = hashes?;
        Ok((!hashes.is_empty()).then_some(Self { hashes }))
    }

    /// The client a key belongs to. Looks at every key, whichever matches.
    pub fn client(&self, key: &str) -> Option<CompactString> {
        let hash = blake3::hash(key.as_bytes());
        let mut found = None;
        for (name, known) in &self.hashes {
            if bool::from(known.ct_eq(hash.as_bytes())) {
                found = Some(name.clone());
            }
        }
        found
    }
}

fn parse(entry: &KeyEntry) -> Result<(CompactString, [u8; 32]), Error> {
    let bytes = HEXLOWER_PERMISSIVE.decode(entry.hash.as_bytes()).ok();
    let hash = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Error::Hash(entry.name.clone()))?;
    Ok((CompactString::new(&entry.name), hash))
}

/// # Errors
/// If the system has no random numbers.
pub fn create(name: &str) -> Result<NewKey, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    let secret = format!("hf_{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    let hash = HEXLOWER.encode(blake3::hash(secret.as_bytes()).as_bytes());
    Ok(NewKey { secret, entry: KeyEntry { name: name.to_owned(), hash } })
}

fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("api-keys.jsonl")
}

/// Appends a key to the file in the data directory, which the server reads at its start.
///
/// # Errors
/// If the file cannot be written.
pub fn store(data_dir: &Path, entry: &KeyEntry) -> Result<PathBuf, Error> {
    use std::io::Write;
    let path = file_in(data_dir);
    let line = serde_json::json!({"name": entry.name, "hash": entry.hash});
    let written = std::fs::create_dir_all(data_dir)
        .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| writeln!(file, "{line}").and_then(|()| file.sync_all()));
    written.map(|()| path.clone()).map_err(|reason| Error::File { path: path.display().to_string(), reason })
}

fn read(path: &Path) -> Result<Vec<KeyEntry>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(reason) => return Err(Error::File { path: path.display().to_string(), reason }),
    };
    let malformed = |line: &str| Error::Hash(line.to_owned());
    text.lines().map(|line| serde_json::from_str(line).map_err(|_| malformed(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_known_by_its_secret_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ApiKeys::load(&[], Some(dir.path())).unwrap().is_none());
        let key = create("shop").unwrap();
        store(dir.path(), &key.entry).unwrap();
        let keys = ApiKeys::load(&[], Some(dir.path())).unwrap().unwrap();
        assert_eq!(keys.client(&key.secret).as_deref(), Some("shop"));
        assert_eq!(keys.client("hf_wrong"), None);
        let file = std::fs::read_to_string(file_in(dir.path())).unwrap();
        assert!(!file.contains(&key.secret));
    }
}
