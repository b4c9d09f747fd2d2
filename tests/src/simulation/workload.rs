//! The workload: few units, many buyers, every kind of command, and clients that ask again, twice at once or differently.

use super::agenda::Happening;
use super::client::{Asked, Known, Source};
use super::faults::{MILLI, SECOND};
use super::world::World;
use holdfast_engine::command::{Command, CommandKey, OrderFilter, Terms};
use holdfast_engine::event::{Bucket, Change, Kind, Line, Origin, PaymentRequest, Placed};
use holdfast_engine::ids::{
    CorrelationId, CustomerId, Fingerprint, KeyHash, KeyName, Label, Location, OrderId, PartitionId, RequestId, Sku,
};
use holdfast_engine::quantity::{Currency, Money, Quantity};

/// Everybody.
const CUSTOMER: &str = "ada";

impl World {
    /// Every SKU is stocked somewhere before the first order.
    pub(super) fn open_shop(&mut self) {
        for sku in self.plan.skus.clone() {
            let on_hand = Quantity::new(self.random.between(1, self.plan.stock) as u32);
            let location = self.random.pick(&self.plan.locations).clone();
            self.plan_request(Command::SetStock { sku, location, on_hand, safety_stock: None, priority: None, expected: None });
        }
        self.after(10 * MILLI, Happening::NextOperation);
    }

    pub(super) fn next_operation(&mut self) {
        self.clients.made += 1;
        let command = self.command();
        self.plan_request(command);
        if self.clients.made < self.plan.operations {
            let pause = self.random.below(self.plan.pause + 1);
            self.after(pause, Happening::NextOperation);
        } else {
            self.after(SECOND, Happening::Calm);
        }
    }

    fn plan_request(&mut self, command: Command) {
        self.counts.operations += 1;
        let asked = Asked { command, tries_left: self.random.below(5) as u8, source: Source::Client };
        if self.random.chance(self.plan.rates.double_click) {
            self.counts.double_clicks += 1;
            self.send(asked.clone());
        }
        self.send(asked);
    }

    fn command(&mut self) -> Command {
        if let Some(again) = self.old_key() {
            return again;
        }
        match self.random.below(100) {
            0..=34 => self.place(Kind::Order),
            35..=44 => self.place(Kind::Reservation),
            45..=58 => self.start_payment(),
            59..=65 => {
                let cancel = self.cancel();
                self.under_terms(cancel)
            }
            66..=73 => {
                let confirm = self.confirm();
                self.under_terms(confirm)
            }
            74..=77 => {
                let extend = self.extend();
                self.under_terms(extend)
            }
            78..=81 => {
                let set = self.set_stock();
                self.under_terms(set)
            }
            82..=88 => self.adjust(),
            89..=92 => self.get_order(),
            93 => Command::GetStock { sku: self.sku() },
            94 => self.close_location(),
            95 => self.list(),
            96..=97 => {
                let set = Command::SetThreshold { sku: self.sku(), threshold: Quantity::new(self.random.below(6) as u32) };
                self.under_terms(set)
            }
            _ => self.availability(),
        }
    }

    /// A key that was used before, with the same body or, now and then, another.
    fn old_key(&mut self) -> Option<Command> {
        if self.clients.keyed.is_empty() || !self.random.chance(40 + self.plan.rates.other_body / 2) {
            return None;
        }
        let mut command = self.random.pick(&self.clients.keyed).clone();
        if let Command::Place { placed, .. } = &mut command {
            // It is the same request wherever it comes from.
            placed.origin = Origin::of(None, CorrelationId::new("again"));
        }
        if self.random.chance(self.plan.rates.other_body) {
            let other = Fingerprint(u128::from(self.random.word()));
            match &mut command {
                Command::Place { placed, .. } => placed.fingerprint = other,
                Command::StartPayment { key, .. } | Command::AdjustStock { key, .. } => key.fingerprint = other,
                Command::Under { terms, .. } => terms.key.iter_mut().for_each(|key| key.fingerprint = other),
                _ => {}
            }
        }
        Some(command)
    }

    fn keyed(&mut self, command: Command) -> Command {
        self.clients.keyed.push(command.clone());
        command
    }

    /// Now and then of a version that may be the right one, or under a key, or both.
    fn under_terms(&mut self, command: Command) -> Command {
        let versions = self.random.chance(150).then(|| vec![self.random.between(1, 4), self.random.between(1, 40)]);
        let key = self.random.chance(400).then(|| self.command_key());
        let bound = key.is_some();
        let command = command.under(Terms { versions, key });
        if bound { self.keyed(command) } else { command }
    }

    fn place(&mut self, kind: Kind) -> Command {
        let order = OrderId::derive(KeyHash(self.random.bytes()), self.plan.partitions);
        self.clients.known.push(Known { order, kind });
        let payment = (kind == Kind::Order && self.random.chance(self.plan.rates.pays_at_once))
            .then(|| PaymentRequest { provider: self.plan.provider.clone(), return_url: None });
        let lines = self.lines();
        let ttl = self.ttl();
        let placed = Placed {
            kind,
            number: 0,
            fingerprint: Fingerprint(u128::from(self.random.word())),
            request_id: self.request_id(),
            customer: CustomerId::new(CUSTOMER),
            currency: Currency::new("EUR"),
            lines,
            allow_partial: self.random.chance(250),
            expires_at: self.clock(0).plus(ttl),
            shipping_address: None,
            metadata: None,
            payment,
            origin: origin_of(order),
        };
        self.keyed(Command::Place { order, placed: Box::new(placed) })
    }

    fn lines(&mut self) -> Vec<Line> {
        let count = if self.random.chance(500) { 1 } else { self.random.between(1, 4) };
        (0..count).map(|_| self.line()).collect()
    }

    fn line(&mut self) -> Line {
        let sku = if self.random.chance(10) { unknown_sku() } else { None };
        Line {
            sku: sku.unwrap_or_else(|| self.sku()),
            quantity: Quantity::new(self.random.between(1, 4) as u32),
            unit_price: Money::new(self.random.between(1, 5_000) as i64),
            seller: None,
            metadata: None,
        }
    }

    fn ttl(&mut self) -> u64 {
        self.random.between(1_000, self.plan.longest_ttl_ms)
    }

    fn sku(&mut self) -> Sku {
        self.random.pick(&self.plan.skus).clone()
    }

    fn location(&mut self) -> Location {
        self.random.pick(&self.plan.locations).clone()
    }

    fn request_id(&mut self) -> RequestId {
        let id = RequestId::new(&format!("req-{}", self.random.below(1 << 40)));
        id.unwrap_or_else(|| unreachable!("a short name of visible characters"))
    }

    /// Mostly one of the last orders: they are the ones with something left to decide.
    fn known(&mut self) -> Known {
        let all = self.clients.known.len() as u64;
        let recent = if self.random.chance(900) { all.min(12) } else { all };
        let index = all.saturating_sub(1 + self.random.below(recent.max(1)));
        match self.clients.known.get(index as usize) {
            Some(known) => known.clone(),
            None => Known { order: OrderId::derive(KeyHash(self.random.bytes()), self.plan.partitions), kind: Kind::Order },
        }
    }

    fn known_order(&mut self) -> Known {
        let orders = (0..8).map(|_| self.known());
        let orders: Vec<Known> = orders.collect();
        orders.iter().find(|known| known.kind == Kind::Order).unwrap_or(&orders[0]).clone()
    }

    fn command_key(&mut self) -> CommandKey {
        let request_id = self.request_id();
        CommandKey { hash: KeyHash(self.random.bytes()), fingerprint: Fingerprint(u128::from(self.random.word())), request_id }
    }

    fn start_payment(&mut self) -> Command {
        let order = self.known_order().order;
        let key = self.command_key();
        self.keyed(Command::StartPayment { order, provider: self.plan.provider.clone(), return_url: None, key })
    }

    fn cancel(&mut self) -> Command {
        let Known { order, kind } = self.known();
        Command::Cancel { order, kind, reason: Label::new("changed_mind") }
    }

    fn confirm(&mut self) -> Command {
        let Known { order, kind } = self.known();
        Command::Confirm { order, kind, reason: None }
    }

    fn extend(&mut self) -> Command {
        let reservations = (0..8).map(|_| self.known()).collect::<Vec<_>>();
        let order = reservations.iter().find(|known| known.kind == Kind::Reservation).unwrap_or(&reservations[0]).order;
        Command::Extend { order, ttl_ms: self.ttl() }
    }

    fn get_order(&mut self) -> Command {
        let Known { order, kind } = self.known();
        Command::GetOrder { order, kind: Some(kind) }
    }

    fn set_stock(&mut self) -> Command {
        let sku = self.sku();
        let seen = self.clients.versions.get(&sku).copied();
        let expected = self.random.chance(600).then(|| vec![seen.unwrap_or(0)]);
        Command::SetStock {
            location: self.location(),
            on_hand: if self.random.chance(150) {
                Quantity::ZERO
            } else {
                Quantity::new(self.random.below(2 * self.plan.stock) as u32)
            },
            safety_stock: self.random.chance(300).then(|| Quantity::new(self.random.below(4) as u32)),
            priority: self.random.chance(300).then(|| self.random.below(3) as u16),
            expected,
            sku,
        }
    }

    fn close_location(&mut self) -> Command {
        let sku = self.sku();
        let seen = self.clients.versions.get(&sku).copied();
        let expected = seen.filter(|_| self.random.chance(300)).map(|version| vec![version]);
        Command::CloseLocation { sku, location: self.location(), expected }
    }

    /// A page from somewhere in the middle, or what an adjustment was answered.
    fn list(&mut self) -> Command {
        let partitions: Vec<_> = self.plan.partitions.all().collect();
        let partition = *self.random.pick(&partitions);
        let limit = self.random.between(1, 20) as usize;
        match self.random.below(5) {
            0 => {
                let Some(customer) = CustomerId::new(CUSTOMER) else { unreachable!("a constant in bounds") };
                let filter = OrderFilter::OfCustomer(customer);
                Command::ListOrders { partition, filter, after: self.random.below(200), limit }
            }
            3 => self.record_changes(partition),
            4 => Command::ListChanges { partition, before: self.random.chance(500).then(|| self.random.below(9)), limit },
            1 => Command::ListStock { partition, prefix: None, after: self.random.chance(500).then(|| self.sku()), limit },
            _ => self.answer_of_an_adjustment(),
        }
    }

    fn record_changes(&mut self, partition: PartitionId) -> Command {
        let (Some(what), Some(request_id)) = (Label::new("engine.credits"), RequestId::new("r")) else {
            unreachable!("constants in bounds")
        };
        let (before, after) = (None, Label::new(&self.random.below(100_000).to_string()));
        let change = Change { number: 0, who: KeyName::new("operator"), what, before, after, note: None, request_id };
        Command::RecordChanges { partition, changes: vec![change; self.random.between(1, 3) as usize] }
    }

    fn answer_of_an_adjustment(&mut self) -> Command {
        let adjustment = |command: &Command| match command {
            Command::AdjustStock { sku, key, .. } => Some((sku.clone(), key.clone())),
            _ => None,
        };
        let known: Vec<_> = self.clients.keyed.iter().filter_map(adjustment).collect();
        if known.is_empty() {
            return Command::GetStock { sku: self.sku() };
        }
        let (sku, key) = self.random.pick(&known).clone();
        Command::GetAnswer { partition: self.plan.partitions.of_sku(&sku), key }
    }

    fn adjust(&mut self) -> Command {
        let bucket = *self.random.pick(&[Bucket::OnHand, Bucket::OnHand, Bucket::Damaged, Bucket::QualityControl]);
        let delta = self.random.between(0, 8) as i64 - 3;
        let sku = if self.random.chance(20) { unknown_sku() } else { None };
        let sku = sku.unwrap_or_else(|| self.sku());
        let Some(reason) = Label::new("counted") else { unreachable!("a constant in bounds") };
        let (location, key) = (self.location(), self.command_key());
        self.keyed(Command::AdjustStock { sku, location, bucket, delta, reason, reference: None, key })
    }

    fn availability(&mut self) -> Command {
        let partitions: Vec<_> = self.plan.partitions.all().collect();
        let partition = *self.random.pick(&partitions);
        let here = |sku: &&Sku| self.plan.partitions.of_sku(sku) == partition;
        let skus = self.plan.skus.iter().filter(here).cloned().collect();
        Command::Availability { partition, skus }
    }
}

/// Of every four orders one is from nowhere, one from a client, one related to something, one both.
fn origin_of(order: OrderId) -> Option<Box<Origin>> {
    let [.., last] = order.bytes();
    let client = if last & 1 == 0 { None } else { KeyName::new("till") };
    Origin::of(client, if last & 2 == 0 { None } else { CorrelationId::new("cart") })
}

fn unknown_sku() -> Option<Sku> {
    Sku::new("never-stocked")
}
