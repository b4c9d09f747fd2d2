//! Short ways to write down names, orders and commands.

use holdfast_engine::command::{Command, CommandKey};
use holdfast_engine::event::{Kind, Line, Origin, PaymentRequest, Placed};
use holdfast_engine::ids::{
    CorrelationId, CustomerId, Fingerprint, HoldKey, KeyHash, KeyName, Label, Location, OrderId, Partitions, Provider, RequestId,
    Sku, Url,
};
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::Timestamp;

pub(crate) fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub(crate) fn location(name: &str) -> Location {
    Location::new(name).unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(crate) fn provider() -> Provider {
    Provider::new("bank").unwrap()
}

pub(crate) fn url(text: &str) -> Url {
    Url::new(text).unwrap()
}

pub(crate) fn order_id(key: &str, partitions: Partitions) -> OrderId {
    OrderId::derive(KeyHash::derive("shop", "orders", key), partitions)
}

pub(crate) fn hold(order: OrderId, generation: u8) -> HoldKey {
    HoldKey { order, generation }
}

/// The key of a command, with a body that is told apart by `body`.
pub(crate) fn command_key(key: &str, body: &str) -> CommandKey {
    CommandKey {
        hash: KeyHash::derive("shop", "commands", key),
        fingerprint: Fingerprint::of(&body),
        request_id: RequestId::new(&format!("req-{key}")).unwrap(),
    }
}

/// What a storefront asks for. Made by [`order`] or [`reservation`].
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) key: String,
    kind: Kind,
    lines: Vec<(String, u32)>,
    partial: bool,
    pays: bool,
    ttl_ms: u64,
    metadata: usize,
    origin: Option<Box<Origin>>,
}

pub(crate) fn order(key: &str) -> Draft {
    Draft {
        key: key.to_owned(),
        kind: Kind::Order,
        lines: Vec::new(),
        partial: false,
        pays: false,
        ttl_ms: 900_000,
        metadata: 0,
        origin: None,
    }
}

pub(crate) fn reservation(key: &str) -> Draft {
    Draft { kind: Kind::Reservation, ..order(key) }
}

impl Draft {
    pub(crate) fn line(mut self, sku: &str, units: u32) -> Self {
        self.lines.push((sku.to_owned(), units));
        self
    }

    pub(crate) fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// Pays in the same request.
    pub(crate) fn paying(mut self) -> Self {
        self.pays = true;
        self
    }

    pub(crate) fn ttl(mut self, ttl_ms: u64) -> Self {
        self.ttl_ms = ttl_ms;
        self
    }

    /// Bytes of metadata.
    pub(crate) fn metadata(mut self, bytes: usize) -> Self {
        self.metadata = bytes;
        self
    }

    /// Placed by this client, who relates it to this. Neither, where it is empty.
    pub(crate) fn from(mut self, client: &str, correlation: &str) -> Self {
        self.origin = Origin::of(KeyName::new(client), CorrelationId::new(correlation));
        self
    }

    pub(crate) fn id(&self, partitions: Partitions) -> OrderId {
        order_id(&self.key, partitions)
    }

    pub(crate) fn command(&self, now: Timestamp, partitions: Partitions) -> Command {
        let line = |(name, units): &(String, u32)| Line {
            sku: sku(name),
            quantity: Quantity::new(*units),
            unit_price: Money::new(100),
            seller: None,
            metadata: None,
        };
        let payment = self.pays.then(|| PaymentRequest { provider: provider(), return_url: None });
        let placed = Placed {
            kind: self.kind,
            number: 0,
            fingerprint: Fingerprint::of(&(self.kind, &self.lines, self.partial, self.pays, self.ttl_ms)),
            request_id: RequestId::new("req").unwrap(),
            customer: CustomerId::new("ada"),
            currency: Currency::new("EUR"),
            lines: self.lines.iter().map(line).collect(),
            allow_partial: self.partial,
            expires_at: now.plus(self.ttl_ms),
            shipping_address: None,
            metadata: (self.metadata > 0).then(|| "1".repeat(self.metadata).into()),
            payment,
            origin: self.origin.clone(),
        };
        Command::Place { order: self.id(partitions), placed: Box::new(placed) }
    }
}
