//! Storefronts that reach their own orders alone (`auth.own_orders`).

use crate::auth::key_of;
use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, hold, id, order, paying, place, put};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};

/// Several clients of one server.
struct Shops {
    server: Server,
    /// Placed while there were no keys.
    older: Value,
}

impl Shops {
    fn open(own_orders: bool) -> Self {
        let options = Options::new().env("HOLDFAST__AUTH__OWN_ORDERS", own_orders.to_string());
        let server = Server::start(options.env("HOLDFAST__SANDBOX__ENABLED", "true"));
        let api = Api::of(&server);
        put(&api, "mug", "berlin", 100);
        let older = place(&api, &order("mug", 1));
        Self { server, older }
    }

    fn keyed<const N: usize>(&mut self, keys: [&[&str]; N]) -> [Api; N] {
        let keys = keys.map(|args| key_of(&self.server, args));
        self.server.restart();
        keys.map(|key| Api::of(&self.server).with_key(&key))
    }
}

const SHOP: &[&str] = &["--name", "shop"];
const RENEWED: &[&str] = &["--name", "shop-2027", "--scope", "shop"];
const OTHER: &[&str] = &["--name", "other"];
const VIEWER: &[&str] = &["--name", "viewer", "--role", "viewer"];
const ADMIN: &[&str] = &["--name", "admin", "--role", "admin"];

/// Everything that can be asked of an order and a reservation that are there, reads first.
fn ask(api: &Api, order: &str, held: &str) -> Vec<(String, Answer)> {
    let reads = [format!("/v1/orders/{order}"), format!("/v1/orders/{order}/timeline"), format!("/v1/reservations/{held}")];
    let writes = [format!("/v1/orders/{order}:cancel"), format!("/v1/orders/{order}:confirm")];
    let holds = [format!("/v1/reservations/{held}:extend"), format!("/v1/reservations/{held}:commit")];
    let mut asked: Vec<(String, Answer)> = reads.into_iter().map(|path| (path.clone(), api.get(&path))).collect();
    asked.extend(writes.into_iter().chain(holds).map(|path| (path.clone(), api.act(&path))));
    let path = format!("/v1/orders/{order}/payments");
    asked.push((path.clone(), api.keyed(&path, "pay", &json!({"provider": "sandbox"}))));
    let path = format!("/v1/reservations/{held}");
    asked.push((path.clone(), api.delete(&path)));
    asked
}

fn listed(api: &Api) -> Vec<Value> {
    let page = api.get("/v1/orders?customer_id=ada&limit=100").ok(200);
    page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()).collect()
}

#[test]
fn another_clients_order_is_refused_whatever_is_asked_of_it_and_stays_as_it_was() {
    let mut shops = Shops::open(true);
    let [shop, other] = shops.keyed([SHOP, OTHER]);
    let (placed, held) = (place(&shop, &order("mug", 1)), hold(&shop, "mug", 1));
    for (path, answer) in ask(&other, id(&placed), id(&held)) {
        assert_eq!(answer.problem(403, "forbidden")["retryable"], false, "{path}");
    }
    let now = |path: String| shop.get(&path).ok(200);
    assert_eq!(now(format!("/v1/orders/{}", id(&placed)))["version"], placed["version"]);
    assert_eq!(now(format!("/v1/reservations/{}", id(&held)))["version"], held["version"]);
    other.get("/v1/orders/ord_00000000000000000000000000").problem(404, "not_found");
}

#[test]
fn an_order_is_reached_by_keys_of_its_scope_by_viewers_and_by_admins() {
    let mut shops = Shops::open(true);
    let [shop, renewed, viewer, admin] = shops.keyed([SHOP, RENEWED, VIEWER, ADMIN]);
    let (placed, held) = (place(&shop, &order("mug", 1)), hold(&shop, "mug", 1));
    let path = format!("/v1/orders/{}", id(&placed));
    for api in [&shop, &renewed, &viewer, &admin] {
        api.get(&path).ok(200);
        assert!(listed(api).contains(&placed["id"]));
    }
    renewed.act(&format!("{path}:cancel")).ok(200);
    admin.act(&format!("/v1/reservations/{}:commit", id(&held))).ok(200);
    let by_renewed = place(&renewed, &order("mug", 1));
    shop.get(&format!("/v1/orders/{}", id(&by_renewed))).ok(200);
}

/// The first key of a scope has it as its name, later ones have not: with the second rotation their orders were of nobody's scope.
#[test]
fn an_order_stays_with_its_scope_whichever_of_its_keys_are_taken_back() {
    let mut shops = Shops::open(true);
    let [renewed, other] = shops.keyed([RENEWED, OTHER]);
    let placed = place(&renewed, &order("mug", 1));
    let [next] = shops.keyed([&["--name", "shop-2028", "--scope", "shop"]]);
    let dir = shops.server.data_dir().display().to_string();
    assert!(shops.server.run(&["key", "revoke", "shop-2027", "--data-dir", &dir]).0.success());
    let path = format!("/v1/orders/{}", id(&placed));
    for restart in [false, true] {
        if restart {
            shops.server.restart();
        }
        poll(PATIENCE, || (renewed.get("/v1/limits").status == 401).then_some(())).expect("the key is taken back");
        next.get(&path).ok(200);
        assert!(listed(&next).contains(&placed["id"]));
        other.get(&path).problem(403, "forbidden");
    }
    next.act(&format!("{path}:cancel")).ok(200);
}

#[test]
fn a_list_has_the_orders_that_the_caller_reaches_and_older_ones_are_everybodys() {
    let mut shops = Shops::open(true);
    let [shop, other] = shops.keyed([SHOP, OTHER]);
    let (of_shop, of_other) = (place(&shop, &order("mug", 1)), place(&other, &order("mug", 1)));
    let sorted = |mut ids: Vec<Value>| {
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(sorted(listed(&shop)), sorted(vec![shops.older["id"].clone(), of_shop["id"].clone()]));
    assert_eq!(sorted(listed(&other)), sorted(vec![shops.older["id"].clone(), of_other["id"].clone()]));
    other.act(&format!("/v1/orders/{}:cancel", id(&shops.older))).ok(200);
}

#[test]
fn the_events_of_all_clients_are_for_viewers_and_admins() {
    let mut shops = Shops::open(true);
    let [shop, viewer, admin] = shops.keyed([SHOP, VIEWER, ADMIN]);
    for path in ["/v1/events", "/v1/events/stream"] {
        shop.get(path).problem(403, "forbidden");
        for api in [&viewer, &admin] {
            assert_eq!(api.send("HEAD", path, &[], None).status, 200, "{path}");
        }
    }
}

#[test]
fn a_payment_of_another_client_is_approved_by_its_link_alone() {
    let mut shops = Shops::open(true);
    let [shop, other] = shops.keyed([SHOP, OTHER]);
    let placed = place(&shop, &paying("mug", 1));
    let bare = format!("/sandbox/payments/{}", placed["payment"]["attempt_id"].as_str().unwrap());
    other.get(&bare).problem(403, "forbidden");
    other.act(&format!("{bare}/approve")).problem(403, "forbidden");
    shop.act(&format!("{bare}/approve")).ok(200);
}

/// Ids of attempts say their partition, and anybody can write one of a partition that is not there.
#[test]
fn a_payment_that_never_was_is_not_found_whatever_its_id_says() {
    let mut shops = Shops::open(true);
    let [shop] = shops.keyed([SHOP]);
    for attempt in ["pay_10000000000000000000000000-1", "pay_00000000000000000000000000-1"] {
        shop.get(&format!("/sandbox/payments/{attempt}")).problem(404, "not_found");
        shop.act(&format!("/sandbox/payments/{attempt}/approve")).problem(404, "not_found");
    }
}

#[test]
fn by_default_a_storefront_reaches_every_order() {
    let mut shops = Shops::open(false);
    let [shop, other] = shops.keyed([SHOP, OTHER]);
    let placed = place(&shop, &order("mug", 1));
    other.get(&format!("/v1/orders/{}", id(&placed))).ok(200);
    other.get("/v1/events").ok(200);
    other.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);
}
