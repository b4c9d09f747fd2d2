//! The keys that are taken now: those of the settings, and those of the file as it was read last.
//!
//! Invariants: keys that are made or taken back count within two seconds, without a restart; once a key was needed one is needed until
//! the process ends: with a file that was emptied or is gone nobody gets in, and a file that cannot be read changes nothing, but that a key
//! whose line was taken out by hand does not count any more.

use super::{ApiKeys, Error, KeyEntry, Known, file, usable};
use arc_swap::{ArcSwapOption, Guard};
use data_encoding::HEXLOWER;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub struct Keys {
    /// `None`: there are none, and nobody needs one.
    now: ArcSwapOption<ApiKeys>,
    configured: Vec<Known>,
    data_dir: Option<PathBuf>,
    seen: Mutex<Seen>,
}

/// What was found when the file was looked at.
struct Seen {
    /// What it looked like when it was read last.
    read: Option<Version>,
    /// The failure to read what it has become, said once.
    failed: Option<String>,
}

/// When a file changes so does this.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self { inode: file.ino(), length: file.len(), changed: (file.ctime(), file.ctime_nsec()) })
    }
}

impl Keys {
    /// The keys of the settings and of the data directory.
    ///
    /// # Errors
    /// If a hash is malformed, or the file cannot be read, is damaged or is lost.
    pub fn load(configured: &[KeyEntry], data_dir: Option<&Path>) -> Result<Self, Error> {
        let configured = configured.iter().map(|entry| usable(entry, "")).collect::<Result<Vec<_>, Error>>()?;
        let keys = Self {
            now: ArcSwapOption::empty(),
            configured,
            data_dir: data_dir.map(Path::to_owned),
            seen: Mutex::new(Seen { read: data_dir.and_then(|dir| Version::of(&dir.join(file::FILE))), failed: None }),
        };
        let stored = keys.stored()?;
        if stored.is_some() || !keys.configured.is_empty() {
            keys.take(stored.unwrap_or_default());
        }
        Ok(keys)
    }

    /// Whether callers need a key.
    pub fn are_needed(&self) -> bool {
        self.now.load().is_some()
    }

    #[inline]
    pub fn now(&self) -> Guard<Option<Arc<ApiKeys>>> {
        self.now.load()
    }

    /// Those of the file. `None` if it never had any.
    fn stored(&self) -> Result<Option<Vec<Known>>, Error> {
        let Some(dir) = &self.data_dir else { return Ok(None) };
        let Some(known) = file::served(dir)? else { return Ok(None) };
        file::secure(dir)?;
        Ok(Some(known))
    }

    fn take(&self, stored: Vec<Known>) {
        self.now.store(Some(Arc::new(ApiKeys::of([self.configured.clone(), stored].concat()))));
    }

    /// Of a file that was changed by hand: nothing in it is believed but that a key is not in it any more.
    fn keep_those_in_the_file(&self) {
        let there = self.data_dir.as_deref().and_then(file::hashes);
        if let (Some(there), Some(now)) = (there, &*self.now.load()) {
            let is_there = |known: &Known| there.iter().any(|hash| hash.eq_ignore_ascii_case(&HEXLOWER.encode(&known.hash)));
            let is_stored = |known: &&Known| self.configured.iter().all(|configured| configured.hash != known.hash);
            let known = now.known.iter().filter(|known| is_there(known)).chain(&now.revoked);
            self.take(known.filter(is_stored).cloned().collect());
        }
    }

    /// Reads the file again if it has changed, or could not be read since it has.
    pub fn refresh(&self) {
        let Some(dir) = &self.data_dir else { return };
        let version = Version::of(&dir.join(file::FILE));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.read == version {
            return;
        }
        match self.stored() {
            Err(Error::File(error)) => seen.failed(error.to_string()),
            stored => {
                *seen = Seen { read: version, failed: None };
                self.read_again(stored);
            }
        }
    }

    fn read_again(&self, stored: Result<Option<Vec<Known>>, Error>) {
        let needed = self.are_needed();
        match stored {
            Ok(Some(stored)) => {
                tracing::info!(keys = stored.len(), "the API keys have changed: those of the file count now");
                self.take(stored);
            }
            Ok(None) | Err(Error::Lost { .. }) if needed => {
                self.take(Vec::new());
                metrics::counter!("holdfast_alarms_total").increment(1);
                tracing::error!(
                    "the API keys of the data directory are gone: all of them are revoked, nobody is let in without one"
                );
            }
            Ok(None) => {}
            Err(error) => {
                self.keep_those_in_the_file();
                metrics::counter!("holdfast_alarms_total").increment(1);
                tracing::error!("the API keys have changed and cannot be read, those of before go on to count: {error}");
            }
        }
        if !needed && self.are_needed() {
            tracing::warn!(
                "from now on every caller needs an API key; what else depends on keys, as `[sandbox] enabled`, changes at the next start"
            );
        }
    }
}

impl Seen {
    /// The file cannot be read now, whatever is in it.
    fn failed(&mut self, error: String) {
        if self.failed.as_ref() == Some(&error) {
            return;
        }
        metrics::counter!("holdfast_alarms_total").increment(1);
        tracing::error!("the API keys cannot be read, those of before go on to count until they can: {error}");
        self.failed = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NewKey, Role, create};
    use super::*;
    use std::fs;

    fn made(dir: &Path, name: &str) -> NewKey {
        let key = create(name, None, Role::Storefront).unwrap();
        file::store(dir, &key.entry).unwrap();
        key
    }

    fn scope(keys: &Keys, secret: &str) -> Option<String> {
        keys.now().as_ref().and_then(|keys| keys.find(secret).map(|known| known.scope.to_string()))
    }

    #[test]
    fn a_stored_key_is_known_by_its_secret_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Keys::load(&[], Some(dir.path())).unwrap().are_needed());
        let key = made(dir.path(), "shop");
        let keys = Keys::load(&[], Some(dir.path())).unwrap();
        assert_eq!(scope(&keys, &key.secret).as_deref(), Some("shop"));
        assert_eq!(scope(&keys, "hf_wrong"), None);
        let file = fs::read_to_string(dir.path().join(file::FILE)).unwrap();
        assert!(!file.contains(&key.secret));
    }

    #[test]
    fn a_scope_is_the_name_of_its_key_unless_another_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let made = [("shop", None), ("new", Some("shop")), ("first", Some(""))]
            .map(|(name, scope)| create(name, scope, Role::Storefront).unwrap());
        file::store(dir.path(), &made[0].entry).unwrap();
        file::store(dir.path(), &made[1].entry).unwrap();
        let text = toml::to_string(&crate::settings::Auth { keys: vec![made[2].entry.clone()], ..Default::default() }).unwrap();
        let configured: crate::settings::Auth = toml::from_str(&text).unwrap();
        let keys = Keys::load(&configured.keys, Some(dir.path())).unwrap();
        assert_eq!(made.map(|key| scope(&keys, &key.secret).unwrap()), ["shop", "shop", ""]);
    }

    #[test]
    fn keys_that_are_made_and_taken_back_count_once_the_file_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(&[], Some(dir.path())).unwrap();
        let one = made(dir.path(), "one");
        assert!(!keys.are_needed());
        keys.refresh();
        assert_eq!(scope(&keys, &one.secret).as_deref(), Some("one"));
        let two = made(dir.path(), "two");
        file::revoke(dir.path(), "one", "").unwrap();
        keys.refresh();
        assert_eq!([scope(&keys, &one.secret), scope(&keys, &two.secret)], [None, Some("two".to_owned())]);
    }

    #[test]
    fn keys_that_are_lost_under_a_running_server_let_nobody_in_but_those_of_the_settings() {
        let configured = create("configured", None, Role::Storefront).unwrap();
        for lose in [|path: &Path| fs::write(path, ""), |path: &Path| fs::remove_file(path)] {
            let dir = tempfile::tempdir().unwrap();
            let one = made(dir.path(), "one");
            let keys = Keys::load(std::slice::from_ref(&configured.entry), Some(dir.path())).unwrap();
            lose(&dir.path().join(file::FILE)).unwrap();
            keys.refresh();
            assert!(keys.are_needed());
            assert_eq!([scope(&keys, &one.secret), scope(&keys, &configured.secret)], [None, Some("configured".to_owned())]);
        }
    }

    /// As was the way to do it before `holdfast key revoke`.
    #[test]
    fn a_key_whose_line_is_taken_out_by_hand_does_not_count_any_more_and_none_that_is_put_in_does() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (made(dir.path(), "one"), made(dir.path(), "two"));
        let keys = Keys::load(&[], Some(dir.path())).unwrap();
        let path = dir.path().join(file::FILE);
        let text = fs::read_to_string(&path).unwrap();
        let eve = create("eve", None, Role::Storefront).unwrap();
        let rest: Vec<&str> = text.lines().filter(|line| !line.contains("\"one\"")).collect();
        let put_in = format!("{{\"name\":\"eve\",\"hash\":\"{}\"}}", eve.entry.hash);
        fs::write(&path, format!("{}\n{put_in}\n", rest.join("\n"))).unwrap();
        keys.refresh();
        assert_eq!([&one, &two, &eve].map(|key| scope(&keys, &key.secret)), [None, Some("two".to_owned()), None]);
        assert!(Keys::load(&[], Some(dir.path())).is_err(), "no server starts with it");
    }

    /// It was not tried again before the file changed once more.
    #[test]
    fn keys_count_once_they_can_be_read_although_their_file_has_not_changed_since() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(&[], Some(dir.path())).unwrap();
        let one = made(dir.path(), "one");
        let mark = dir.path().join(file::MARK);
        fs::remove_file(&mark).unwrap();
        std::os::unix::fs::symlink(file::MARK, &mark).unwrap();
        keys.refresh();
        keys.refresh();
        assert_eq!(scope(&keys, &one.secret), None, "its mark can be neither read nor made");
        fs::remove_file(&mark).unwrap();
        keys.refresh();
        assert_eq!(scope(&keys, &one.secret).as_deref(), Some("one"));
    }

    #[test]
    fn keys_go_on_to_count_while_their_file_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let one = made(dir.path(), "one");
        let keys = Keys::load(&[], Some(dir.path())).unwrap();
        fs::write(dir.path().join(file::FILE), "half a li").unwrap();
        keys.refresh();
        assert_eq!(scope(&keys, &one.secret).as_deref(), Some("one"));
    }
}
