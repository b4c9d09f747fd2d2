//! Files and directories that only their owner may read.
//!
//! Invariant: what a process makes that has called [`only_ours`], by whatever library, is for its owner alone, and what is created
//! here is so in any process, from the first moment; what is older and wider is narrowed with a warning, and never a directory that
//! others use on purpose.

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Bits of group and others.
const SHARED: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// What shows that a directory that was there before is one of ours.
const OURS: [&str; 3] = ["holdfast.meta", "api-keys.jsonl", "attempts.jsonl"];

/// From now on every file and directory that this process makes is for its owner alone, whatever umask it was given.
pub fn only_ours() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Makes the directory with mode 0700, and with the mode that the process gives them those above it; narrows one that is there.
///
/// # Errors
/// If it cannot be made.
pub fn directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => give_to_owner_of_parent(&File::open(path)?, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            narrow(path, is_ours(path));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Opens a file to append to, or makes it with mode 0600.
///
/// # Errors
/// If it cannot be opened or made.
pub fn append(path: &Path) -> io::Result<File> {
    let new = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
    match new {
        Ok(file) => give_to_owner_of_parent(&file, path).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            narrow(path, true);
            OpenOptions::new().append(true).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Makes a file of mode 0600 that is not there yet.
///
/// # Errors
/// If it is there, or cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    give_to_owner_of_parent(&file, path).map(|()| file)
}

/// Writes a file of mode 0600 whole or not at all, also when the process is killed meanwhile.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Reads a file that must be private, and narrows it if it is not.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    narrow(path, true);
    Ok(bytes)
}

/// Whether everybody on the machine can read the file.
pub fn is_world_readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.mode() & 0o004 != 0)
}

/// What root makes in a directory of somebody else, the server's user as a rule, must be readable there.
fn give_to_owner_of_parent(file: &File, path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(parent)?;
    if geteuid().is_root() && owner.uid() != 0 && owner.mode() & STICKY == 0 {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// An empty directory was made for us. One with other things in it may be anything, the home of somebody or `/tmp`.
fn is_ours(dir: &Path) -> bool {
    let empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    empty || OURS.iter().any(|name| dir.join(name).exists())
}

fn narrow(path: &Path, ours: bool) {
    let Ok(found) = fs::metadata(path) else { return };
    if found.mode() & SHARED == 0 {
        return;
    }
    let (shown, mode) = (path.display(), format!("{:04o}", found.mode() & 0o7777));
    if ours && narrowed(path, &found) {
        tracing::warn!("{shown} could be read by others (mode {mode}): narrowed to its owner")
    } else {
        tracing::warn!("{shown} can be used by others (mode {mode}) and is left so: chmod go= it if nobody else needs it")
    }
}

fn narrowed(path: &Path, found: &Metadata) -> bool {
    let owned = found.uid() == geteuid().as_raw();
    let narrow = Permissions::from_mode(found.mode() & 0o7777 & !SHARED);
    owned && found.mode() & STICKY == 0 && fs::set_permissions(path, narrow).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn widen(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("above/data");
        directory(&dir).unwrap();
        append(&dir.join("keys")).unwrap();
        replace(&dir.join("secret"), b"x").unwrap();
        assert_eq!((mode(&dir), mode(&dir.join("keys")), mode(&dir.join("secret"))), (0o700, 0o600, 0o600));
    }

    #[test]
    fn a_file_of_old_that_others_could_read_is_narrowed_and_keeps_its_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("keys");
        fs::write(&path, "one\n").unwrap();
        widen(&path, 0o644);
        append(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o600, "one\ntwo\n"));
        widen(&path, 0o666);
        read(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        widen(&path, 0o644);
        replace(&path, b"three").unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap().as_slice()), (0o600, b"three".as_slice()));
    }

    #[test]
    fn a_data_directory_of_old_is_narrowed_and_one_that_holds_other_things_or_is_for_everybody_is_not() {
        let root = tempfile::tempdir().unwrap();
        let [ours, empty, home, shared] = ["ours", "empty", "home", "shared"].map(|name| root.path().join(name));
        for (dir, content, open) in
            [(&ours, "holdfast.meta", 0o755), (&home, "letters", 0o755), (&shared, "holdfast.meta", 0o1777)]
        {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join(content), "").unwrap();
            widen(dir, open);
        }
        fs::create_dir(&empty).unwrap();
        widen(&empty, 0o755);
        [&ours, &empty, &home, &shared].iter().for_each(|dir| directory(dir).unwrap());
        assert_eq!([mode(&ours), mode(&empty), mode(&home), mode(&shared)], [0o700, 0o700, 0o755, 0o1777]);
    }

    #[test]
    fn a_file_that_stands_where_the_directory_should_be_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        fs::write(&path, "").unwrap();
        assert_eq!(directory(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
