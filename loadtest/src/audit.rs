//! After the load: stock and orders as the API tells them, against the generator's own ledger.
//!
//! Invariant: what is read and what is judged are apart: [`compare`] sees answers only, so that a test can give it false ones.

use crate::buyer::Shop;
use crate::http::{Answer, Target};
use crate::ledger::{Account, Breach, Finding, Ledger, Order, Possible};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What follows an answer, an expiry or a payment, may take so long.
const SETTLING: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// Requests of the audit at the same time.
const READERS: usize = 32;
/// Findings that are shown; more say nothing new.
const SHOWN: usize = 50;
/// Orders of a run that are listed at most: a list is read page by page.
const LISTED: u64 = 20_000;

/// What the API says of a SKU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub available: u64,
    pub held: u64,
    pub pinned: u64,
    pub committed: u64,
    pub on_hand: u64,
}

impl Counters {
    fn of(stock: &Value) -> Option<Self> {
        let count = |bucket: &str| stock[bucket].as_u64();
        let (available, held, pinned) = (count("available")?, count("held")?, count("pinned")?);
        Some(Self { available, held, pinned, committed: count("committed")?, on_hand: count("on_hand")? })
    }

    fn taken(self) -> u64 {
        self.held + self.pinned + self.committed
    }

    fn fits(self, account: &Account) -> bool {
        within(self.taken(), account.taken) && within(self.committed, account.sold)
    }
}

fn within(count: u64, (least, most): (u64, u64)) -> bool {
    (least..=most).contains(&count)
}

/// What the API said after the run.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Of each SKU, in the order of the ledger; `None` where it is not known.
    pub stock: Vec<Option<Counters>>,
    /// Of each order of the ledger, `None` where there is none.
    pub orders: Vec<Option<String>>,
    /// Ids of the customer's orders that are not rejected, if they were listed.
    pub listed: Option<Vec<String>>,
}

/// What was looked at, and found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    pub skus: u64,
    pub accepted: u64,
    /// Of the accepted ones, a sample where there are many.
    pub orders_read: u64,
    /// Whether all orders of the run were listed and each was one that the ledger knows.
    pub listed: bool,
    /// Orders whose outcome nobody could tell.
    pub unresolved: u64,
    /// What `holdfast verify` said, where the server was started for the run.
    pub verify: Option<Value>,
    pub findings: Vec<Finding>,
}

/// Everything that is not as the ledger has it. `units` of each SKU were stocked.
pub fn compare(ledger: &Ledger, units: u64, answers: &Answers) -> Vec<Finding> {
    let mut found = ledger.findings.clone();
    for (sku, (account, counters)) in ledger.accounts.iter().zip(&answers.stock).enumerate() {
        match counters {
            Some(counters) => found.extend(of_stock(sku, account, units, *counters)),
            None => found.push(Finding::new(Breach::Inconsistent, format!("SKU {sku} cannot be read"))),
        }
    }
    for (order, status) in ledger.orders.iter().zip(&answers.orders) {
        found.extend(of_order(order, status.as_deref()));
    }
    let known: BTreeSet<&str> = ledger.orders.iter().map(|order| &*order.id).collect();
    let strangers = answers.listed.iter().flatten().filter(|id| !known.contains(id.as_str()));
    found.extend(strangers.map(|id| Finding::new(Breach::DoubleOrder, format!("{id} is there and was never acknowledged"))));
    found
}

fn of_stock(sku: usize, account: &Account, units: u64, counters: Counters) -> Vec<Finding> {
    let mut found = Vec::new();
    let (taken, (least, most)) = (counters.taken(), account.taken);
    if least > units {
        found.push(Finding::new(Breach::Oversold, format!("SKU {sku}: {least} units acknowledged of {units}")));
    }
    if taken < least {
        found.push(Finding::new(Breach::LostAcknowledgement, format!("SKU {sku}: {least} units acknowledged, {taken} taken")));
    }
    if taken > most {
        found.push(Finding::new(Breach::DoubleOrder, format!("SKU {sku}: {taken} units taken, at most {most} asked for")));
    }
    if !within(counters.committed, account.sold) {
        let (least, most) = account.sold;
        let what = format!("SKU {sku}: {} units sold, {least} to {most} were acknowledged as sold", counters.committed);
        found.push(Finding::new(Breach::LostAcknowledgement, what));
    }
    if counters.available + taken != units || counters.on_hand != units {
        let what = format!("SKU {sku}: {units} units were stocked, {counters:?}");
        found.push(Finding::new(Breach::Inconsistent, what));
    }
    found
}

fn of_order(order: &Order, status: Option<&str>) -> Option<Finding> {
    let Order { id, possible } = order;
    match status {
        None => Some(Finding::new(Breach::LostAcknowledgement, format!("{id} was acknowledged and is not there"))),
        Some(status) if possible.allows(status) => None,
        Some(status) => {
            let what = format!("{id} is {status}, which does not follow from what was acknowledged: {}", shown(*possible));
            Some(Finding::new(Breach::LostAcknowledgement, what))
        }
    }
}

fn shown(possible: Possible) -> String {
    let Possible { held, sold, returned } = possible;
    let names = [(held, "held"), (sold, "sold"), (returned, "given back")];
    names.iter().filter_map(|(is, name)| is.then_some(*name)).collect::<Vec<_>>().join(" or ")
}

/// Waits until what was left to expire has done so, reads everything and compares. A server that cannot be stopped and verified audits
/// itself, too.
///
/// # Errors
/// If the server does not answer.
pub async fn run(shop: &Arc<Shop>, units: u64, audits_itself: bool) -> Result<Audit, String> {
    let unresolved = std::mem::take(&mut shop.ledger().unresolved);
    let mut lost = 0;
    for number in unresolved {
        lost += u64::from(!shop.resolve(number).await);
    }
    let last_expiry = shop.ledger().last_expiry;
    if let Some(at) = last_expiry {
        tokio::time::sleep_until(at.into()).await;
    }
    let answers = read(shop, Instant::now() + SETTLING).await?;
    let (accepted, orders_read) = {
        let ledger = shop.ledger();
        (ledger.accepted, ledger.orders.len() as u64)
    };
    let mut findings = compare(&shop.ledger(), units, &answers);
    let audited =
        if audits_itself { Some(shop.pool.target.operators().call("POST", "/admin/v1/audit", "", "").await?) } else { None };
    if let Some(audited) = audited.filter(|audited| audited["ok"] != true) {
        findings.push(Finding::new(Breach::Inconsistent, format!("the server's own audit: {}", audited["violations"])));
    }
    findings.truncate(SHOWN);
    let skus = shop.workload.skus.len() as u64;
    Ok(Audit { skus, accepted, orders_read, listed: answers.listed.is_some(), unresolved: lost, verify: None, findings })
}

async fn read(shop: &Arc<Shop>, deadline: Instant) -> Result<Answers, String> {
    let (accounts, orders, complete) = {
        let ledger = shop.ledger();
        (ledger.accounts.clone(), ledger.orders.clone(), ledger.is_complete())
    };
    let target = &shop.pool.target;
    let skus = shop.workload.skus.iter().zip(accounts);
    let stock = skus.map(|(sku, account)| {
        let request = target.request("GET", &format!("/v1/inventory/{sku}"), "", "");
        (request, move |answer: &Answer| Counters::of(&answer.json()).is_some_and(|counters| counters.fits(&account)))
    });
    let stock = all(shop, stock, |answer| Counters::of(&answer.json()), deadline).await?;
    let states = orders.into_iter().map(|order| {
        let request = target.request("GET", &format!("/v1/orders/{}", order.id), "", "");
        (request, move |answer: &Answer| answer.reply().status.is_some_and(|status| order.possible.allows(&status)))
    });
    let orders = all(shop, states, |answer| answer.reply().status.map(Cow::into_owned), deadline).await?;
    let listed =
        if complete && orders.len() as u64 <= LISTED { Some(list(target, &shop.workload.customer()).await?) } else { None };
    Ok(Answers { stock, orders, listed })
}

/// What `read` makes of the answers to all requests, in their order; each is asked for until it fits or the time is over.
async fn all<F, T>(
    shop: &Arc<Shop>,
    requests: impl Iterator<Item = (Vec<u8>, F)>,
    read: fn(&Answer) -> T,
    deadline: Instant,
) -> Result<Vec<T>, String>
where
    F: Fn(&Answer) -> bool + Send + Sync + 'static,
    T: Send + 'static,
{
    let (mut reading, mut answers) = (JoinSet::new(), Vec::new());
    for (number, (request, fits)) in requests.enumerate() {
        if reading.len() >= READERS {
            answers.extend(reading.join_next().await);
        }
        let shop = shop.clone();
        reading.spawn(async move { (number, until(&shop, &request, fits, deadline).await.map(|answer| read(&answer))) });
    }
    answers.extend(reading.join_all().await.into_iter().map(Ok));
    let mut numbered = Vec::with_capacity(answers.len());
    for answer in answers {
        let (number, answer) = answer.map_err(|error| error.to_string())?;
        numbered.push((number, answer?));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, answer)| answer).collect())
}

async fn until(shop: &Shop, request: &[u8], fits: impl Fn(&Answer) -> bool, deadline: Instant) -> Result<Answer, String> {
    loop {
        let answer = shop.pool.send(request).await.map_err(|error| format!("the audit got no answer: {}", error.why))?;
        if fits(&answer) || Instant::now() >= deadline {
            return Ok(answer);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn list(target: &Target, customer: &str) -> Result<Vec<String>, String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = target.call("GET", &format!("/v1/orders?customer_id={customer}&limit=500&after={after}"), "", "").await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let there = items.iter().filter(|order| order["status"] != "rejected");
        ids.extend(there.filter_map(|order| order["id"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return Ok(ids),
        }
    }
}
