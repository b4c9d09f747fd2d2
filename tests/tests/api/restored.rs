//! A data directory restored from an older copy: whoever has read what is gone is told so, and never "nothing new".

use crate::client::Api;
use crate::shop::{hold, put};
use holdfast_tests::server::{Options, Server, copy_data, on_cluster};
use serde_json::Value;

/// How far somebody has read.
struct Reader {
    events: String,
    movements: String,
}

impl Reader {
    /// Reads everything there is.
    fn of(api: &Api) -> Self {
        let (mut events, mut after) = (String::new(), None);
        while after.as_ref() != Some(&events) {
            after = Some(events.clone());
            events = next(&api.get(&format!("/v1/events?limit=1000&after={events}")).ok(200));
        }
        Self { events, movements: next(&api.get("/v1/inventory/mug/movements?limit=1000").ok(200)) }
    }

    fn paths(&self) -> [String; 3] {
        let Self { events, movements } = self;
        [
            format!("/v1/events?after={events}"),
            format!("/v1/events/stream?after={events}"),
            format!("/v1/inventory/mug/movements?after={movements}"),
        ]
    }

    #[track_caller]
    fn is_refused(&self, api: &Api) {
        for path in self.paths() {
            api.get(&path).problem(409, "cursor_not_of_this_history");
        }
        let last = [("last-event-id", self.events.as_str())];
        api.send("GET", "/v1/events/stream", &last, None).problem(409, "cursor_not_of_this_history");
    }

    #[track_caller]
    fn reads_on(&self, api: &Api) {
        let [events, _, movements] = self.paths();
        assert_ne!(api.get(&events).ok(200)["events"], serde_json::json!([]));
        assert_ne!(api.get(&movements).ok(200)["items"], serde_json::json!([]));
    }
}

fn next(page: &Value) -> String {
    page["next"].as_str().unwrap_or_else(|| panic!("no cursor: {page}")).to_owned()
}

fn hold_some(api: &Api, count: usize) {
    (0..count).for_each(|_| drop(hold(api, "mug", 1)));
}

#[test]
fn a_cursor_of_what_is_gone_is_refused_by_the_older_copy_and_by_the_copy_that_went_on() {
    if on_cluster() {
        // Its data is in no directory.
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (ours, copy) = (scratch.path().join("ours"), scratch.path().join("copy"));
    let mut server = Server::start(Options::new().data_dir(&ours));
    put(&Api::of(&server), "mug", "berlin", 100);
    let before = Reader::of(&Api::of(&server));
    assert!(server.terminate().success());
    copy_data(&ours, &copy);
    server.restart();
    let api = Api::of(&server);
    hold_some(&api, 5);
    let after = Reader::of(&api);
    before.reads_on(&api);
    drop(server);

    let restored = Server::start(Options::new().data_dir(&copy));
    let api = Api::of(&restored);
    after.is_refused(&api);
    hold_some(&api, 12);
    after.is_refused(&api);
    before.reads_on(&api);
    // As the problem says: from the beginning.
    Reader { events: "0".to_owned(), movements: "0".to_owned() }.reads_on(&api);
}

#[test]
fn a_cursor_of_another_server_is_refused() {
    let server = Server::start(Options::new());
    let other = Api::of(&server);
    put(&other, "mug", "berlin", 100);
    let reader = Reader::of(&other);
    let api = Api::shared();
    put(&api, "mug", "berlin", 100);
    reader.is_refused(&api);
}
