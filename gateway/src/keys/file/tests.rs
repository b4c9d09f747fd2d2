use super::super::create;
use super::*;
use holdfast_engine::ids::KeyName;
use holdfast_engine::limits;
use std::fs::{Permissions, metadata, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;

/// A directory with keys of these names.
fn with_keys(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        store(dir.path(), &create(name, None, Role::Storefront).unwrap().entry).unwrap();
    }
    dir
}

fn names(dir: &Path) -> Vec<String> {
    read(dir).unwrap().unwrap().into_iter().map(|key| key.name).collect()
}

fn refused(dir: &Path) -> String {
    read(dir).err().unwrap().to_string()
}

fn put(dir: &Path, bytes: &[u8]) {
    fs::write(dir.join(FILE), bytes).unwrap();
}

#[test]
fn a_directory_without_keys_has_none_and_one_with_keys_has_those() {
    assert!(read(tempfile::tempdir().unwrap().path()).unwrap().is_none());
    let dir = with_keys(&["one", "two", "one"]);
    assert_eq!(names(dir.path()), ["one", "two", "one"]);
}

/// An empty list would open the server to everybody.
#[test]
fn a_missing_or_an_empty_file_where_keys_existed_is_refused_with_the_way_out() {
    let dir = with_keys(&["one"]);
    for contents in ["", "\n", " \n\n"] {
        put(dir.path(), contents.as_bytes());
        let refusal = refused(dir.path());
        assert!(refusal.contains("has no keys") && refusal.contains("holdfast key new") && refusal.contains(MARK), "{refusal}");
    }
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(refused(dir.path()).contains("is missing"));
    store(dir.path(), &create("again", None, Role::Storefront).unwrap().entry).unwrap();
    assert_eq!(names(dir.path()), ["again"]);
}

/// Of what could not be looked at it was said that it is not there, and then nobody needs a key.
#[test]
fn a_mark_that_cannot_be_looked_at_is_not_taken_for_none() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(MARK, dir.path().join(MARK)).unwrap();
    assert!(matches!(read(dir.path()), Err(Error::File(_))));
    fs::remove_file(dir.path().join(MARK)).unwrap();
    assert!(read(dir.path()).unwrap().is_none());
}

#[test]
fn a_file_of_before_is_read_and_its_loss_is_remembered_once_a_server_has_seen_it() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["one", "two"].map(|name| json(&create(name, None, Role::Storefront).unwrap().entry));
    put(dir.path(), keys.join("\n").as_bytes());
    assert_eq!(names(dir.path()), ["one", "two"]);
    secure(dir.path()).unwrap();
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(refused(dir.path()).contains("is missing"));
}

#[test]
fn a_file_of_before_gets_its_checks_with_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), json(&create("one", None, Role::Storefront).unwrap().entry).as_bytes());
    store(dir.path(), &create("two", None, Role::Storefront).unwrap().entry).unwrap();
    assert_eq!(names(dir.path()), ["one", "two"]);
    let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert_eq!(text.matches("\"check\"").count(), 3);
}

/// A key of another name, or of another scope, would repeat orders.
#[test]
fn a_flipped_bit_anywhere_is_refused_by_file_and_line_or_changes_nothing() {
    let dir = with_keys(&["one", "two"]);
    let (good, before) = (fs::read(dir.path().join(FILE)).unwrap(), read(dir.path()).unwrap().map(shown));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        put(dir.path(), &bad);
        match read(dir.path()) {
            Ok(keys) => assert_eq!(keys.map(shown), before, "bit {bit}"),
            Err(error) => assert!(error.to_string().contains(FILE), "{error}"),
        }
    }
}

fn shown(keys: Vec<KeyEntry>) -> Vec<String> {
    keys.iter().map(json).collect()
}

/// Where every key is of a storefront the file has no word of roles, and earlier versions read it.
#[test]
fn a_key_keeps_its_role_and_nobody_gives_it_another_by_hand() {
    let dir = with_keys(&["shop"]);
    let text = || fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(!text().contains("role"));
    store(dir.path(), &create("grafana", None, Role::Viewer).unwrap().entry).unwrap();
    store(dir.path(), &create("operator", None, Role::Admin).unwrap().entry).unwrap();
    let roles: Vec<Role> = read(dir.path()).unwrap().unwrap().iter().map(|key| key.role).collect();
    assert_eq!(roles, [Role::Storefront, Role::Viewer, Role::Admin]);
    put(dir.path(), text().replace("viewer", "admin").as_bytes());
    assert!(refused(dir.path()).contains("key revoke"));
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let dir = with_keys(&["one", "two"]);
    let good = fs::read(dir.path().join(FILE)).unwrap();
    for length in 0..good.len() - 1 {
        put(dir.path(), &good[..length]);
        assert!(read(dir.path()).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_line_that_was_removed_added_or_moved_is_refused() {
    let dir = with_keys(&["one", "two", "three"]);
    let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let stranger = json(&create("eve", None, Role::Storefront).unwrap().entry);
    for changed in [
        vec![lines[0], lines[2], lines[3]],
        vec![lines[0], lines[1], lines[3]],
        vec![lines[1], lines[0], lines[2], lines[3]],
        vec![lines[0], lines[1], lines[2], &stranger, lines[3]],
        vec![&stranger, lines[0], lines[1], lines[2], lines[3]],
        vec![lines[0], lines[1], lines[2], lines[3], &stranger],
        vec![lines[3]],
    ] {
        put(dir.path(), changed.join("\n").as_bytes());
        assert!(refused(dir.path()).contains("key revoke"), "{changed:?}");
    }
}

#[test]
fn a_line_that_is_no_key_is_refused_by_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let key = json(&create("one", None, Role::Storefront).unwrap().entry);
    put(dir.path(), format!("{key}\n{{\"name\":\"x\",\"hash\":\"00\"}}\n").as_bytes());
    assert!(refused(dir.path()).contains(&format!("{}:2", dir.path().join(FILE).display())));
}

/// It can still be listed and taken back, which is the way out.
#[test]
fn a_key_whose_name_no_order_can_have_is_served_by_nobody_and_named_by_its_line_and_the_reason() {
    let dir = with_keys(&["one", "two"]);
    let made = create("three", None, Role::Storefront).unwrap().entry;
    let long = "x".repeat(limits::NAME.characters + 1);
    for (line, name) in [(3, long.as_str()), (4, "a\nb"), (5, "")] {
        store(dir.path(), &KeyEntry { name: name.to_owned(), scope: Some("shop".to_owned()), ..made.clone() }).unwrap();
        assert_eq!(names(dir.path()).last().unwrap(), name);
        let refusal = served(dir.path()).err().unwrap().to_string();
        let place = format!("{}:{line}: API key {name:?}: ", dir.path().join(FILE).display());
        assert!(refusal.starts_with(&place), "{refusal}");
        assert!(refusal.contains(&KeyName::rule()) && refusal.contains("--scope \"shop\""), "{refusal}");
        revoke(dir.path(), name, "").unwrap();
    }
    assert_eq!(served(dir.path()).unwrap().unwrap().len(), 5, "those that are taken back keep their scopes");
}

#[test]
fn a_damaged_file_is_not_written_over() {
    let dir = with_keys(&["one"]);
    put(dir.path(), b"nonsense\n");
    assert!(store(dir.path(), &create("two", None, Role::Storefront).unwrap().entry).is_err());
    assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"nonsense\n");
}

#[test]
fn keys_are_revoked_by_name_and_by_hash_and_the_last_one_leaves_no_open_server() {
    let dir = with_keys(&["one", "two", "one"]);
    let first = read(dir.path()).unwrap().unwrap().remove(0);
    assert!(matches!(revoke(dir.path(), "three", ""), Err(Error::Unknown(..))));
    let unmatched = revoke(dir.path(), "one", "zzz").unwrap_err().to_string();
    assert!(unmatched.contains("\"one\"") && unmatched.contains("begins with \"zzz\""), "{unmatched}");
    assert_eq!(revoke(dir.path(), "one", &first.hash[..12]).unwrap().keys.len(), 1);
    assert_eq!(names(dir.path()), ["two", "one"]);
    assert_eq!(revoke(dir.path(), "one", "").unwrap().keys.len(), 1);
    assert_eq!(revoke(dir.path(), "two", "").unwrap().left, 0);
    assert!(refused(dir.path()).contains("has no keys"));
}

/// With it the orders that were placed with it would be of nobody's scope. A build from before reads a file without such lines.
#[test]
fn a_key_that_is_taken_back_leaves_its_scope_where_that_was_not_its_name() {
    let dir = with_keys(&["shop", "last"]);
    for name in ["shop-2027", "shop-2028", "shop-2027"] {
        store(dir.path(), &create(name, Some("shop"), Role::Storefront).unwrap().entry).unwrap();
    }
    revoke(dir.path(), "shop", "").unwrap();
    assert!(!fs::read_to_string(dir.path().join(FILE)).unwrap().contains("revoked"));
    let revoked = revoke(dir.path(), "shop-2027", "").unwrap();
    assert_eq!((revoked.keys.len(), revoked.left), (2, 2));
    assert!(matches!(revoke(dir.path(), "shop-2027", ""), Err(Error::Unknown(..))));
    let keys = read(dir.path()).unwrap().unwrap();
    let shown: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.scope(), key.revoked)).collect();
    assert_eq!(shown, [("last", "last", false), ("shop-2028", "shop", false), ("shop-2027", "shop", true)]);
    assert_eq!(hashes(dir.path()).unwrap().len(), 2);
    ["last", "shop-2028"].iter().for_each(|name| drop(revoke(dir.path(), name, "").unwrap()));
    assert!(refused(dir.path()).contains("has no keys"), "nobody needs one that is taken back");
}

#[test]
fn keys_that_are_made_at_once_are_all_kept() {
    let dir = with_keys(&["first"]);
    thread::scope(|scope| {
        for thread in 0..8 {
            let dir = dir.path();
            scope.spawn(move || store(dir, &create(&format!("key-{thread}"), None, Role::Storefront).unwrap().entry).unwrap());
        }
    });
    assert_eq!(names(dir.path()).len(), 9);
}

#[test]
fn the_keys_and_their_directory_are_for_their_owner_alone_and_older_ones_become_so() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
    let path = store(&dir, &create("one", None, Role::Storefront).unwrap().entry).unwrap();
    assert_eq!((mode(&dir), mode(&path), mode(&dir.join(MARK))), (0o700, 0o600, 0o600));
    for (path, old) in [(&dir, 0o755), (&path, 0o644)] {
        set_permissions(path, Permissions::from_mode(old)).unwrap();
    }
    store(&dir, &create("two", None, Role::Storefront).unwrap().entry).unwrap();
    assert_eq!((mode(&dir), mode(&path)), (0o700, 0o600));
    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    secure(&dir).unwrap();
    assert_eq!(mode(&path), 0o600);
}
