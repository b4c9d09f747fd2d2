//! The secrets of the sandbox: what webhooks are signed with, and what the links to payment pages are made from.
//!
//! Invariants: whoever has the newest webhook secret signs what the server takes, and so does whoever has the one before it
//! until the roll is finished; a link that is made once holds for good, as it is journalled with its order; a secret that is not as
//! it was written, as the checksum beside it says, is refused, and one that was there and is gone is not made anew.

use super::webhook;
use crate::process::file_error::{FileError, at};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use holdfast_storage::private;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

const WEBHOOK: &str = "webhook-secret";
const PREVIOUS: &str = "webhook-secret.previous";
const PAGE: &str = "page-secret";
const LENGTH: usize = 32;
/// Bytes of the token of a link: 128 bits.
const TOKEN: usize = 16;

/// Where the sandbox keeps its files.
pub(super) fn dir_in(data_dir: &Path) -> PathBuf {
    data_dir.join("sandbox")
}

pub struct Secrets {
    webhook: Vec<u8>,
    previous: Option<Vec<u8>>,
    page: Vec<u8>,
}

impl Secrets {
    /// Those of the directory, new ones where there are none. Without a directory they last as long as the process.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is no secret.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, FileError> {
        let Some(dir) = dir else {
            return Ok(Self { webhook: random()?, previous: None, page: random()? });
        };
        private::directory(dir).map_err(at(dir))?;
        let previous = read(&dir.join(PREVIOUS))?;
        Ok(Self { webhook: read_or_make(&dir.join(WEBHOOK))?, previous, page: read_or_make(&dir.join(PAGE))? })
    }

    /// What webhooks are signed with.
    pub(super) fn newest(&self) -> &[u8] {
        &self.webhook
    }

    /// Whether a webhook is from the provider and fresh.
    pub fn verify(&self, header: &str, body: &[u8], window_seconds: u64) -> bool {
        let known = [Some(&self.webhook), self.previous.as_ref()];
        known.into_iter().flatten().any(|secret| webhook::verify(secret, header, body, window_seconds))
    }

    /// The attempt and what only those know who were given its link.
    pub(super) fn link(&self, attempt: &str) -> String {
        let tag = self.tag(attempt).map(|mac| mac.finalize().into_bytes());
        let token = tag.as_deref().and_then(|tag| tag.get(..TOKEN)).unwrap_or_default();
        format!("{attempt}.{}", HEXLOWER.encode(token))
    }

    /// Compares in constant time.
    pub(super) fn knows(&self, attempt: &str, token: &str) -> bool {
        let token = HEXLOWER.decode(token.as_bytes()).unwrap_or_default();
        token.len() == TOKEN && self.tag(attempt).is_some_and(|mac| mac.verify_truncated_left(&token).is_ok())
    }

    fn tag(&self, attempt: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.page).ok()?;
        mac.update(attempt.as_bytes());
        Some(mac)
    }
}

/// Makes a new webhook secret and keeps the old one beside it. A server that is started then takes both.
///
/// # Errors
/// If there is no secret yet, if an earlier roll is not finished, or if a file cannot be written.
pub fn roll(data_dir: &Path) -> Result<PathBuf, FileError> {
    let (path, previous) = (dir_in(data_dir).join(WEBHOOK), dir_in(data_dir).join(PREVIOUS));
    let Some(old) = read(&path)? else {
        return Err(wrong(&path, "there is no webhook secret yet: the server makes one when its sandbox is first on"));
    };
    // The same twice is what a crash in the middle leaves: nothing is lost by going on.
    if read(&previous)?.is_some_and(|kept| kept != old) {
        return Err(wrong(&previous, "an earlier roll is not finished: say --finish when nobody signs with that one any more"));
    }
    write(&previous, &old)?;
    write(&path, &random()?)?;
    Ok(path)
}

/// Removes the secret before the newest. False if there was none.
///
/// # Errors
/// If it cannot be removed.
pub fn finish_roll(data_dir: &Path) -> Result<bool, FileError> {
    let previous = dir_in(data_dir).join(PREVIOUS);
    // The checksum first: a secret without one is only older.
    remove(&check_of(&previous))?;
    remove(&previous)
}

fn remove(path: &Path) -> Result<bool, FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

fn random() -> Result<Vec<u8>, FileError> {
    let mut bytes = vec![0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| at(Path::new("random numbers"))(io::Error::other(error)))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let (sums, check) = (read_if_there(&check_of(path))?, check_of(path));
    let Some(secret) = read_if_there(path)? else {
        let gone = || format!("is gone: restore it from a copy, or remove {} too, and {LOST}", check.display());
        return if sums.is_some() { Err(wrong(path, &gone())) } else { Ok(None) };
    };
    if secret.len() != LENGTH {
        return Err(wrong(path, &format!("is not 32 bytes long: delete it and {}, and {LOST}", check.display())));
    }
    match sums {
        // Of an earlier build, or a crash came in between.
        None => private::replace(&check, sum(&secret).as_bytes()).map_err(at(&check))?,
        Some(sums) if String::from_utf8_lossy(&sums).lines().any(|known| known == sum(&secret)) => {}
        Some(_) => {
            let other = format!(
                "is not as it was written: restore it from a copy. If it was put there on purpose, remove {}",
                check.display()
            );
            return Err(wrong(path, &other));
        }
    }
    Ok(Some(secret))
}

const LOST: &str = "what was signed with it is refused";

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match private::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(at(path)),
    }
}

/// The checksums of a secret, of the one before it too while it is replaced.
fn check_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.check"))
}

/// It says nothing of the secret.
fn sum(secret: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(secret))
}

/// Whatever is on disk when it is killed meanwhile is a secret with its checksum, or one that gets it at the next start.
fn write(path: &Path, secret: &[u8]) -> Result<(), FileError> {
    let check = check_of(path);
    let sums = read(path)?.map(|old| format!("{}\n{}", sum(&old), sum(secret)));
    if let Some(both) = &sums {
        private::replace(&check, both.as_bytes()).map_err(at(&check))?;
    }
    private::replace(path, secret).map_err(at(path))?;
    if sums.is_none() {
        private::replace(&check, sum(secret).as_bytes()).map_err(at(&check))?;
    }
    Ok(())
}

fn read_or_make(path: &Path) -> Result<Vec<u8>, FileError> {
    if let Some(secret) = read(path)? {
        return Ok(secret);
    }
    let secret = random()?;
    write(path, &secret)?;
    Ok(secret)
}

fn wrong(path: &Path, what: &str) -> FileError {
    at(path)(io::Error::other(what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::webhook::{sign, unix_seconds};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open(data_dir: &Path) -> Secrets {
        Secrets::open(Some(&dir_in(data_dir))).unwrap()
    }

    #[test]
    fn a_webhook_signed_with_the_old_secret_is_taken_until_the_roll_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let old = open(dir.path());
        let signed = |secrets: &Secrets| sign(secrets.newest(), unix_seconds(), b"body");
        roll(dir.path()).unwrap();
        let rolled = open(dir.path());
        assert_ne!(rolled.newest(), old.newest());
        assert!(rolled.verify(&signed(&old), b"body", 300) && rolled.verify(&signed(&rolled), b"body", 300));
        assert!(!old.verify(&signed(&rolled), b"body", 300));
        assert!(finish_roll(dir.path()).unwrap());
        let finished = open(dir.path());
        assert!(!finished.verify(&signed(&old), b"body", 300) && finished.verify(&signed(&rolled), b"body", 300));
        assert!(!finish_roll(dir.path()).unwrap());
    }

    /// The secret before the last would be lost, and webhooks signed with it refused.
    #[test]
    fn a_second_roll_before_the_first_is_finished_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(roll(dir.path()).unwrap_err().to_string().contains("webhook-secret: there is no"));
        open(dir.path());
        roll(dir.path()).unwrap();
        let again = roll(dir.path()).unwrap_err().to_string();
        assert!(again.contains("--finish") && again.contains("webhook-secret.previous"), "{again}");
    }

    #[test]
    fn a_roll_that_was_killed_in_the_middle_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let old = open(dir.path());
        private::replace(&dir_in(dir.path()).join(PREVIOUS), old.newest()).unwrap();
        roll(dir.path()).unwrap();
        let rolled = open(dir.path());
        assert_ne!(rolled.newest(), old.newest());
        assert!(rolled.verify(&sign(old.newest(), unix_seconds(), b"body"), b"body", 300));
    }

    #[test]
    fn a_link_holds_for_its_attempt_only_also_after_a_restart_and_a_roll() {
        let dir = tempfile::tempdir().unwrap();
        let link = open(dir.path()).link("pay_a-1");
        roll_and_open(dir.path());
        let secrets = open(dir.path());
        let (attempt, token) = link.split_once('.').unwrap();
        assert!(secrets.knows(attempt, token));
        assert_eq!(token.len(), 32);
        for wrong in ["", "00", &token[..30], &token.to_uppercase(), &format!("{token}00"), &"0".repeat(32)] {
            assert!(!secrets.knows(attempt, wrong), "{wrong}");
        }
        assert!(!secrets.knows("pay_a-2", token));
        assert!(!Secrets::open(None).unwrap().knows(attempt, token));
    }

    fn roll_and_open(dir: &Path) {
        roll(dir).unwrap();
        finish_roll(dir).unwrap();
    }

    #[test]
    fn secrets_are_for_their_owner_alone_and_older_ones_become_so() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        roll(dir.path()).unwrap();
        let sandbox = dir_in(dir.path());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&sandbox), 0o700);
        let files = [WEBHOOK, PREVIOUS, PAGE].map(|name| sandbox.join(name));
        let files = files.clone().into_iter().chain(files.iter().map(|path| check_of(path)));
        let files: Vec<PathBuf> = files.collect();
        for path in &files {
            assert_eq!(mode(path), 0o600, "{}", path.display());
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        open(dir.path());
        files.iter().for_each(|path| assert_eq!(mode(path), 0o600, "{}", path.display()));
    }

    /// Webhooks of the provider were refused, and links that were given out, and nobody was told why.
    #[test]
    fn a_secret_with_a_flipped_bit_is_refused_and_one_that_is_gone_is_not_made_anew() {
        for name in [WEBHOOK, PREVIOUS, PAGE] {
            let dir = tempfile::tempdir().unwrap();
            open(dir.path());
            roll(dir.path()).unwrap();
            let path = dir_in(dir.path()).join(name);
            let refused = || Secrets::open(Some(&dir_in(dir.path()))).err().unwrap().to_string();
            for file in [path.clone(), check_of(&path)] {
                let whole = std::fs::read(&file).unwrap();
                // The checksum of the newest comes last.
                for byte in [whole.len() - LENGTH, whole.len() - LENGTH / 2, whole.len() - 1] {
                    let mut changed = whole.clone();
                    changed[byte] ^= 1;
                    std::fs::write(&file, &changed).unwrap();
                    assert!(refused().contains(&path.display().to_string()), "{}", refused());
                }
                std::fs::write(&file, whole).unwrap();
            }
            open(dir.path());
            std::fs::remove_file(&path).unwrap();
            assert!(refused().contains("is gone"), "{}", refused());
        }
    }

    #[test]
    fn a_secret_of_an_earlier_build_gets_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let made = open(dir.path());
        let check = check_of(&dir_in(dir.path()).join(WEBHOOK));
        std::fs::remove_file(&check).unwrap();
        assert_eq!(open(dir.path()).newest(), made.newest());
        assert!(check.exists());
    }

    #[test]
    fn a_secret_that_is_none_is_refused_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(WEBHOOK);
        std::fs::write(&path, "short").unwrap();
        let error = Secrets::open(Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
