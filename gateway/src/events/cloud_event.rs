//! An event in the structured JSON form of CloudEvents 1.0, and a fact of an order in its timeline.

use super::data::Data;
use super::describe::{Described, Subject, describe, order_data, order_type};
use crate::keys::Role;
use crate::wire::json::to_json;
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use compact_str::{CompactString, format_compact};
use holdfast_engine::event::{Event, Kind, OrderRecord, Record};
use holdfast_engine::ids::{CorrelationId, OrderId, PartitionId, Seq};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// An event in the structured JSON form of CloudEvents 1.0, wherever it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudEvent<'a> {
    #[schema(schema_with = spec_version)]
    specversion: &'static str,
    /// The same in every copy of the event.
    #[schema(value_type = String)]
    id: CompactString,
    source: &'static str,
    #[schema(schema_with = event_type)]
    r#type: &'static str,
    /// Order id or SKU.
    #[schema(value_type = String)]
    subject: Subject<'a>,
    #[schema(value_type = scalars::Time)]
    time: Rfc3339,
    datacontenttype: &'static str,
    /// What the order of the event was related to when it was placed, by `X-Correlation-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<scalars::CorrelationId>, nullable = false)]
    correlationid: Option<&'a CorrelationId>,
    partition: u16,
    /// Counts the events of the partition without a gap.
    #[schema(value_type = u64)]
    sequence: Seq,
    /// By type: one JSON Schema each in docs/events.
    #[schema(value_type = scalars::Members)]
    data: Data<'a>,
}

fn spec_version() -> Schema {
    scalars::words(["1.0"]).into()
}

impl<'a> CloudEvent<'a> {
    pub fn of(partition: PartitionId, record: &'a Record) -> Self {
        let Described { event_type, subject, data } = describe(&record.event);
        Self {
            specversion: "1.0",
            id: format_compact!("{}-{}", partition.0, record.seq),
            source: "/holdfast",
            r#type: event_type,
            subject,
            time: Rfc3339(record.at),
            datacontenttype: "application/json",
            correlationid: record.event.correlation(),
            partition: partition.0,
            sequence: record.seq,
            data,
        }
    }

    /// As a reader of this role is shown it. None: it is not for such a reader.
    pub fn shown_to(role: Role, partition: PartitionId, record: &'a Record) -> Option<Self> {
        if matches!(record.event, Event::Operator(_)) && !role.sees_changes() {
            return None;
        }
        let event = Self::of(partition, record);
        Some(if role.may_pay() { event } else { Self { data: event.data.without_links(), ..event } })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn subject(&self) -> &str {
        self.subject.as_str()
    }

    pub fn event_type(&self) -> &'static str {
        self.r#type
    }

    pub fn bytes(&self) -> Vec<u8> {
        to_json(self)
    }
}

impl Serialize for Subject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One fact in the timeline of an order, with what its event has in `data`.
#[derive(Serialize, ToSchema)]
pub struct TimelineItem<'a> {
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(schema_with = event_type)]
    r#type: &'static str,
    #[schema(value_type = scalars::Time)]
    at: Rfc3339,
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    data: Data<'a>,
}

/// One fact in the timeline of an order.
pub fn timeline_item(order: OrderId, kind: Kind, record: &OrderRecord) -> TimelineItem<'_> {
    let (r#type, data) = (order_type(kind, &record.fact), order_data(order, kind, &record.fact));
    TimelineItem { seq: record.seq, r#type, at: Rfc3339(record.at), data }
}

impl TimelineItem<'_> {
    /// As a reader of this role is shown it.
    pub fn shown_to(self, role: Role) -> Self {
        if role.may_pay() { self } else { Self { data: self.data.without_links(), ..self } }
    }
}

/// The type of an event. Read it openly: later releases may add types.
fn event_type() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^holdfast\.[a-z]+\.[a-z_]+$")).into()
}
