use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

struct Written {
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdfast.toml");
        std::fs::write(&path, text).unwrap();
        Self { path, _dir: dir }
    }
}

fn own(variables: Variables<'_>) -> impl Iterator<Item = (String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

fn with(text: &str, variables: Variables<'_>) -> Result<Loaded, Mistakes> {
    load(Some(&Written::new(text).path), own(variables))
}

fn to_serve(text: &str, variables: Variables<'_>) -> Result<Loaded, Mistakes> {
    // No data directory of whoever runs the tests may count.
    let nowhere = |loaded: &mut Loaded| loaded.settings.data.dir = "/nonexistent".into();
    load_to_serve(Some(&Written::new(text).path), own(variables), nowhere)
}

/// Line and key of each mistake.
fn places(result: Result<Loaded, Mistakes>) -> Vec<(Option<usize>, String)> {
    let line = |origin: &String| origin.rsplit_once(':').and_then(|(_, line)| line.parse().ok());
    let place = |mistake: Mistake| (mistake.origin.as_ref().and_then(line), mistake.key);
    result.unwrap_err().0.into_iter().map(place).collect()
}

#[test]
fn an_unknown_key_is_refused_with_file_and_line() {
    let error = with("[server]\nlisten = \"127.0.0.1:1\"\nlissten = 3\n", &[]).unwrap_err().to_string();
    assert!(error.contains("holdfast.toml:3: server.lissten: "), "{error}");
}

/// Every order of a shard would be of unknown outcome: no node takes a row of that size.
#[test]
fn a_batch_is_no_larger_than_a_row_of_a_cluster() {
    let text = |kb| format!("[journal]\nbackend = \"scylla\"\n[engine]\nbatch_kb = {kb}\n");
    if cfg!(feature = "scylla") {
        assert_eq!(places(with(&text(1025), &[])), [(Some(4), "engine.batch_kb".to_owned())]);
        assert!(with(&text(1024), &[]).is_ok());
    }
}

/// One at a time they cost a start each.
#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let text = "[server]\nlisten = \"nonsense\"\nworkers = \"many\"\n[log]\nlevel = \"loud\"\n[nowhere]\nkey = 1\n[sandbox]\n\
                public_url = \"shop\"\nenabled = \"maybe\"\n[engine]\ncredits = 0\n[empty]\n";
    let variables = [("HOLDFAST__KAFKA__TOPIC_PREFIX", "a b"), ("HOLDFAST__ENGINE__SHARTS", "3"), ("HOLDFAST__ENGINE", "3")];
    let mistakes = to_serve(text, &variables).unwrap_err();
    let shown = mistakes.to_string();
    for part in [
        "2: server.listen: \"nonsense\" is not HOST:PORT",
        "3: server.workers: invalid type: string \"many\"",
        "5: log.level: \"loud\" is neither",
        "7: nowhere.key: unknown field `nowhere`",
        "9: sandbox.public_url: \"shop\" is not",
        "10: sandbox.enabled: invalid value: string \"maybe\", expected true, false or \"auto\"",
        "12: engine.credits: must be 1 to 10000000",
        "13: empty: unknown field `empty`",
        "HOLDFAST__KAFKA__TOPIC_PREFIX: kafka.topic_prefix: must be",
        "HOLDFAST__ENGINE__SHARTS: engine.sharts: unknown field",
        "HOLDFAST__ENGINE: names no key",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert_eq!(mistakes.0.len(), 11, "{shown}");
}

#[test]
fn every_way_to_write_a_key_has_its_line() {
    let text = "server.listen = \"127.0.0.1:1\"\nkafka = { enabled = false, security = { user = \"clerk\" } }\n[data]\n\
                dir = \"\"\"\nover\nlines\"\"\"\npartitions = 8\n[[auth.keys]]\nname = \"a\"\nhash = \"00\"\n";
    let loaded = with(text, &[]).unwrap();
    let lines: BTreeMap<&str, usize> =
        loaded.origins.iter().map(|(key, origin)| (key.as_str(), origin.rsplit_once(':').unwrap().1.parse().unwrap())).collect();
    let expected = [
        ("auth.keys", 8),
        ("data.dir", 4),
        ("data.partitions", 7),
        ("kafka.enabled", 2),
        ("kafka.security.user", 2),
        ("server.listen", 1),
    ];
    assert_eq!(lines, expected.into());
    assert_eq!(loaded.settings.data.dir.to_str(), Some("over\nlines"));
}

#[test]
fn an_unusable_element_of_a_list_is_named_by_its_own_line() {
    let text = "[[auth.keys]]\nname = \"a\"\nhash = \"00\"\n[[auth.keys]]\nname = \"b\"\nhush = \"00\"\n";
    assert_eq!(places(with(text, &[])), [(Some(4), "auth.keys".to_owned())]);
    let text = "[auth]\nkeys = [\n  { name = \"a\", hash = \"00\" },\n  { name = \"b\" },\n]\n";
    assert_eq!(places(with(text, &[])), [(Some(4), "auth.keys".to_owned())]);
}

#[test]
fn what_is_no_toml_is_refused_by_its_line() {
    let found = places(with("[server]\nworkers = 1\nlisten = \"unended\nworkers = 2\n", &[]));
    assert!(found.iter().any(|(line, _)| *line == Some(3)), "{found:?}");
    let nowhere = load(Some(Path::new("/nonexistent/holdfast.toml")), std::iter::empty()).unwrap_err().to_string();
    assert!(nowhere.contains("/nonexistent/holdfast.toml: cannot be read"), "{nowhere}");
}

/// What `serve` refuses, `config check` finds; other commands go on with it.
#[test]
fn what_keeps_a_server_from_starting_is_found_before_and_does_not_keep_others() {
    let missing = "/nonexistent/file";
    let nameless = format!("[auth]\nkeys = [{{ name = \"\", hash = \"{}\" }}]\n", "00".repeat(32));
    let cases = [
        ("[server]\nlisten = \"0.0.0.0:80\"\n", "server.listen", "holdfast key new"),
        ("[server]\nlisten = \"[::]:80\"\n", "server.listen", "--insecure"),
        ("[server]\nlisten = \"127.0.0.1\"\n", "server.listen", "HOST:PORT"),
        ("[server]\nlisten = \"127.0.0.1:99999\"\n", "server.listen", "HOST:PORT"),
        ("[server]\nhosts = \"shop.example,http://x\"\n", "server.hosts", "\"http://x\""),
        ("[sandbox]\npublic_url = \"ftp://shop.example\"\n", "sandbox.public_url", "http or https"),
        ("[backup]\ndir = \"/nonexistent/backups\"\n", "backup.dir", "in the data directory"),
        ("[backup]\ndir = \"/dev/null\"\n", "backup.dir", "no directory"),
        ("[auth]\nkeys = [{ name = \"a\", hash = \"0g\" }]\n", "auth.keys", "64 hexadecimal digits"),
        (nameless.as_str(), "auth.keys", "would have no owner"),
        ("[log]\nlevel = \"info,loud\"\n", "log.level", "\"loud\""),
        ("[log]\nlevel = \"holdfast=loud\"\n", "log.level", ""),
    ];
    for (text, key, part) in cases {
        let mistakes = to_serve(text, &[]).unwrap_err();
        assert_eq!((mistakes.0.len(), mistakes.0[0].key.as_str()), (1, key), "{mistakes}");
        assert!(mistakes.to_string().contains(part), "{mistakes}");
        with(text, &[]).unwrap();
    }
    let tls =
        [("HOLDFAST__JOURNAL__BACKEND", "scylla"), ("HOLDFAST__SCYLLA__USER", "u"), ("HOLDFAST__SCYLLA__PASSWORD_FILE", missing)];
    let mistakes = to_serve("", &tls).unwrap_err().to_string();
    assert!(
        mistakes.contains("HOLDFAST__SCYLLA__PASSWORD_FILE: scylla.password_file: /nonexistent/file cannot be read"),
        "{mistakes}"
    );
}

#[test]
fn good_settings_of_every_kind_are_taken() {
    for text in [
        "[server]\nlisten = \"localhost:0\"\nhosts = \"shop.internal,10.0.0.1\"\n",
        "[server]\nlisten = \"0.0.0.0:80\"\ninsecure = true\n",
        "[server]\nlisten = \"[::1]:80\"\n[log]\nlevel = \"info,holdfast_actors=debug,scylla=off\"\n",
        "[sandbox]\npublic_url = \"https://shop.example:8443/pay\"\nenabled = false\n",
        "[log]\nlevel = \"WARN\"\n",
        "[backup]\ndir = \"/nonexistent-backups\"\n",
    ] {
        to_serve(text, &[]).unwrap();
    }
    let hash = "00".repeat(32);
    to_serve(&format!("[server]\nlisten = \"0.0.0.0:80\"\n[auth]\nkeys = [{{ name = \"a\", hash = \"{hash}\" }}]\n"), &[])
        .unwrap();
}

#[test]
fn keys_in_the_data_directory_let_a_server_listen_beyond_this_machine_unless_one_cannot_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let written = Written::new("[server]\nlisten = \"0.0.0.0:80\"\n");
    let load = || load_to_serve(Some(&written.path), std::iter::empty(), |loaded| loaded.settings.data.dir = dir.path().into());
    assert!(load().is_err());
    let key = crate::keys::create("a", None, crate::keys::Role::Storefront).unwrap().entry;
    crate::keys::file::store(dir.path(), &key).unwrap();
    load().unwrap();
    crate::keys::file::store(dir.path(), &crate::keys::KeyEntry { name: "a\nb".to_owned(), ..key }).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(error.contains("api-keys.jsonl:2: API key \"a\\nb\": its name must"), "{error}");
}

#[test]
fn an_argument_is_checked_like_the_rest_and_named() {
    let arguments = |loaded: &mut Loaded| {
        loaded.settings.engine.shards = 100;
        loaded.settings.data.dir = "/nonexistent".into();
        loaded.from_argument("engine.shards", "--shards");
    };
    let error = load_to_serve(None, std::iter::empty(), arguments).unwrap_err().to_string();
    assert!(error.contains("--shards: engine.shards: must not be more than data.partitions, which is 64"), "{error}");
}

fn tuned_in(dir: &Path, key: &str, value: i64) {
    let at = "2026-11-29T18:00:00.000Z".to_owned();
    write_entries(dir, &[Entry { key: key.to_owned(), value: value.into(), number: 1, who: None, at }]).unwrap();
}

/// It was said of the settings file, which was right.
#[test]
fn a_change_that_no_longer_fits_the_settings_is_told_with_its_file_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tuning.toml").display().to_string();
    let load = |text: &str| {
        let arguments = |loaded: &mut Loaded| loaded.settings.data.dir = dir.path().into();
        let refused = load_tuned(Some(&Written::new(text).path), std::iter::empty(), arguments).unwrap_err();
        refused.0.into_iter().map(|mistake| (mistake.key.clone(), mistake.to_string())).collect::<Vec<_>>()
    };
    for (key, value, text, named) in [
        ("orders.ttl_seconds", 900, "[orders]\nttl_seconds = 60\nttl_max_seconds = 60\n", "orders.ttl_seconds"),
        ("orders.ttl_max_seconds", 60, "[orders]\nttl_seconds = 900\n", "orders.ttl_seconds"),
        ("engine.credits", 0, "", "engine.credits"),
        ("server.workers", 2, "", "server.workers"),
        ("engine.credits", -1, "", "engine.credits"),
    ] {
        tuned_in(dir.path(), key, value);
        let refused = load(text);
        let [(mistaken, shown)] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!(mistaken, named);
        assert!(shown.contains(&path) && shown.contains("remove it to start without"), "{shown}");
    }
    tuned_in(dir.path(), "engine.credits", 9);
    let refused = load("[engine]\nbatch_kb = 0\n");
    assert!(!refused[0].1.contains("tuning.toml"), "the settings file is wrong without it: {refused:?}");
}

#[test]
fn the_number_of_partitions_is_named_only_by_whoever_says_it() {
    assert!(!with("[data]\ndemo = false\n", &[]).unwrap().settings.data.partitions_named);
    assert!(with("[data]\npartitions = 64\n", &[]).unwrap().settings.data.partitions_named);
    assert!(with("", &[("HOLDFAST__DATA__PARTITIONS", "64")]).unwrap().settings.data.partitions_named);
}

#[test]
fn the_sandbox_has_three_settings_in_file_and_variable() {
    let of = |text: &str, variables: Variables<'_>| with(text, variables).unwrap().settings.sandbox;
    let name = "HOLDFAST__SANDBOX__ENABLED";
    let on = |sandbox: &Sandbox| (sandbox.is_on(false), sandbox.is_on(true));
    for (text, variables, expected) in [
        ("", &[][..], (true, false)),
        ("[sandbox]\nenabled = \"auto\"\n", &[], (true, false)),
        ("[sandbox]\nenabled = true\n", &[], (true, true)),
        ("[sandbox]\nenabled = false\n", &[], (false, false)),
        ("", &[(name, "auto")], (true, false)),
        ("", &[(name, "true")], (true, true)),
        ("[sandbox]\nenabled = true\n", &[(name, "false")], (false, false)),
    ] {
        assert_eq!(on(&of(text, variables)), expected, "{text} {variables:?}");
    }
}

#[test]
fn a_variable_wins_over_the_file_and_is_named_as_origin() {
    let loaded = with("[engine]\nshards = 2\n", &[("HOLDFAST__ENGINE__SHARDS", "3")]).unwrap();
    assert_eq!(loaded.settings.engine.shards, 3);
    assert_eq!(loaded.origins["engine.shards"], "HOLDFAST__ENGINE__SHARDS");
}

#[test]
fn a_variable_reaches_a_section_inside_a_section() {
    let loaded = with("[kafka]\nenabled = false\n", &[("HOLDFAST__KAFKA__SECURITY__USER", "clerk")]).unwrap();
    assert_eq!(loaded.settings.kafka.security.user, "clerk");
    assert_eq!(explained(&loaded, "kafka.security.user").origin, "HOLDFAST__KAFKA__SECURITY__USER");
}

fn explained(loaded: &Loaded, key: &str) -> Explained {
    explain(loaded).into_iter().find(|row| row.key == key).unwrap()
}

#[test]
fn a_setting_is_explained_by_what_won_and_by_how_it_is_changed() {
    let (file, variable) = ("[engine]\nshards = 2\n", &[("HOLDFAST__ENGINE__SHARDS", "3")][..]);
    for (text, variables, key, expected) in [
        ("", &[][..], "engine.shards", ("0", "live", "default")),
        (file, &[], "engine.shards", ("2", "live", "holdfast.toml:2")),
        (file, variable, "engine.shards", ("3", "live", "HOLDFAST__ENGINE__SHARDS")),
        ("[data]\npartitions = 8\n", &[], "data.partitions", ("8", "restart", "holdfast.toml:2")),
    ] {
        let Explained { value, change, origin, .. } = explained(&with(text, variables).unwrap(), key);
        let origin = origin.rsplit('/').next().unwrap();
        assert_eq!((value.to_string().as_str(), change, origin), expected, "{text} {variables:?}");
    }
}

/// Left out in silence, paid orders would expire.
#[test]
fn payment_results_from_kafka_need_kafka() {
    let error = with("[kafka]\npayment_results = true\n", &[]).unwrap_err().to_string();
    assert!(error.contains("kafka.enabled = true"), "{error}");
}

#[test]
fn brokers_and_hosts_in_a_variable_are_a_list_with_commas() {
    let variables = [("HOLDFAST__KAFKA__BROKERS", "127.0.0.1:9092,127.0.0.2:9092"), ("HOLDFAST__SERVER__HOSTS", "a.b, c.d,")];
    let loaded = with("", &variables).unwrap();
    assert_eq!(loaded.settings.kafka.brokers, "127.0.0.1:9092,127.0.0.2:9092");
    assert_eq!(loaded.settings.server.hosts.0, ["a.b", "c.d"]);
    let listed = with("[server]\nhosts = [\"a.b\", \"c.d\"]\n", &[]).unwrap();
    assert_eq!(listed.settings.server.hosts, loaded.settings.server.hosts);
    let variables = [("HOLDFAST__SERVER__HOSTS", "[\"a.b\", \"c.d\"]")];
    assert_eq!(with("", &variables).unwrap().settings.server.hosts, loaded.settings.server.hosts);
}

#[test]
fn the_commented_file_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/holdfast.toml");
    let loaded = load(Some(&path), std::iter::empty()).unwrap();
    let shown = Value::try_from(&loaded.settings).unwrap();
    assert_eq!(shown, Value::try_from(Settings::default()).unwrap());
}
