//! API keys: made here, stored as hashes, compared in constant time.
//!
//! A key is `hf_` and 32 random bytes in base32. Random bytes need no slow hash: blake3 of the key is stored.

use crate::file_error::{FileError, at};
use crate::settings::KeyEntry;
use compact_str::CompactString;
use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use holdfast_storage::private;
use std::io::Write;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// The keys this server takes.
pub struct ApiKeys {
    known: Vec<Known>,
}

/// A key that is taken.
pub struct Known {
    hash: [u8; 32],
    /// What the idempotency keys of its owner are bound to: whoever comes under the same scope is the same caller.
    scope: CompactString,
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
    #[error("{path}:{line}: is no API key: lines are {{\"name\": …, \"hash\": …}}, as `holdfast key new` writes them")]
    Line { path: String, line: usize },
    #[error("API keys: {0}")]
    File(#[from] FileError),
    #[error("no random numbers: {0}")]
    Random(String),
}

impl ApiKeys {
    /// The keys of the settings and of the data directory. `None` if there are none at all.
    ///
    /// # Errors
    /// If a hash is malformed or the file cannot be read.
    pub fn load(configured: &[KeyEntry], data_dir: Option<&Path>) -> Result<Option<Self>, Error> {
        let mut known = configured.iter().map(parse).collect::<Result<Vec<_>, Error>>()?;
        if let Some(dir) = data_dir {
            known.extend(read(&file_in(dir))?);
        }
        Ok((!known.is_empty()).then_some(Self { known }))
    }

    /// The scope of a key. Looks at every key, whichever matches.
    pub fn scope(&self, key: &str) -> Option<CompactString> {
        let hash = blake3::hash(key.as_bytes());
        let mut found = None;
        for known in &self.known {
            if bool::from(known.hash.ct_eq(hash.as_bytes())) {
                found = Some(known.scope.clone());
            }
        }
        found
    }
}

/// Whether the data directory has keys, as far as one may look.
pub fn any_in(data_dir: &Path) -> bool {
    std::fs::metadata(file_in(data_dir)).is_ok_and(|file| file.len() > 0)
}

/// # Errors
/// If the hash is none.
pub fn parse(entry: &KeyEntry) -> Result<Known, Error> {
    let bytes = HEXLOWER_PERMISSIVE.decode(entry.hash.as_bytes()).ok();
    let hash = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Error::Hash(entry.name.clone()))?;
    Ok(Known { hash, scope: CompactString::new(entry.scope.as_deref().unwrap_or(&entry.name)) })
}

/// # Errors
/// If the system has no random numbers.
pub fn create(name: &str, scope: Option<&str>) -> Result<NewKey, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    let secret = format!("hf_{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    let hash = HEXLOWER.encode(blake3::hash(secret.as_bytes()).as_bytes());
    Ok(NewKey { secret, entry: KeyEntry { name: name.to_owned(), hash, scope: scope.map(str::to_owned) } })
}

/// The file in a data directory.
pub const FILE: &str = "api-keys.jsonl";

fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Appends a key to the file in the data directory, which the server reads at its start.
///
/// # Errors
/// If the file cannot be written.
pub fn store(data_dir: &Path, entry: &KeyEntry) -> Result<PathBuf, Error> {
    let path = file_in(data_dir);
    private::directory(data_dir).map_err(at(data_dir))?;
    let line = serde_json::to_string(entry).unwrap_or_else(|error| unreachable!("names and hashes are JSON: {error}"));
    let written =
        private::append(&path).and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(at(&path))?;
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<Known>, Error> {
    let bytes = match private::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path)(error).into()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let key = |line: &str| serde_json::from_str(line).ok().and_then(|entry| parse(&entry).ok());
    let keys = text
        .lines()
        .enumerate()
        .map(|(index, line)| key(line).ok_or_else(|| Error::Line { path: path.display().to_string(), line: index + 1 }));
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_known_by_its_secret_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ApiKeys::load(&[], Some(dir.path())).unwrap().is_none());
        let key = create("shop", None).unwrap();
        store(dir.path(), &key.entry).unwrap();
        let keys = ApiKeys::load(&[], Some(dir.path())).unwrap().unwrap();
        assert_eq!(keys.scope(&key.secret).as_deref(), Some("shop"));
        assert_eq!(keys.scope("hf_wrong"), None);
        let file = std::fs::read_to_string(file_in(dir.path())).unwrap();
        assert!(!file.contains(&key.secret));
    }

    #[test]
    fn a_scope_is_the_name_of_its_key_unless_another_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let made = [("shop", None), ("new", Some("shop")), ("first", Some(""))].map(|(name, scope)| create(name, scope).unwrap());
        store(dir.path(), &made[0].entry).unwrap();
        store(dir.path(), &made[1].entry).unwrap();
        let text = toml::to_string(&crate::settings::Auth { keys: vec![made[2].entry.clone()] }).unwrap();
        let configured: crate::settings::Auth = toml::from_str(&text).unwrap();
        let keys = ApiKeys::load(&configured.keys, Some(dir.path())).unwrap().unwrap();
        assert_eq!(made.map(|key| keys.scope(&key.secret).unwrap()), ["shop", "shop", ""]);
    }

    #[test]
    fn the_keys_and_their_directory_are_for_their_owner_alone_and_older_ones_become_so() {
        use std::fs::{Permissions, metadata, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
        let path = store(&dir, &create("one", None).unwrap().entry).unwrap();
        assert_eq!((mode(&dir), mode(&path)), (0o700, 0o600));
        for (path, old) in [(&dir, 0o755), (&path, 0o644)] {
            set_permissions(path, Permissions::from_mode(old)).unwrap();
        }
        store(&dir, &create("two", None).unwrap().entry).unwrap();
        assert_eq!((mode(&dir), mode(&path)), (0o700, 0o600));
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        ApiKeys::load(&[], Some(&dir)).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_line_that_is_no_key_is_refused_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = store(dir.path(), &create("one", None).unwrap().entry).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"name\":\"x\",\"hash\":\"00\"}\n").unwrap();
        let error = ApiKeys::load(&[], Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains(&format!("{}:2", path.display())), "{error}");
    }
}
