//! Traces on their way to whoever takes them by OTLP over HTTP.
//!
//! Invariants: nothing that serves waits for it; traces that cannot be handed over are lost, and the log says so once.

use crate::settings::Telemetry;
use holdfast_storage::traced::{Moment, PUBLISH, TRACED, Trace};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// How often what is over is handed over.
const EVERY: Duration = Duration::from_secs(1);
/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Hands traces over as long as the process runs. With `publishes` a trace waits for Kafka.
///
/// # Errors
/// If the address of the collector cannot be used.
pub fn start(settings: &Telemetry, publishes: bool) -> Result<(), ExporterBuildError> {
    let endpoint = format!("{}/v1/traces", settings.otlp_endpoint.trim_end_matches('/'));
    let builder = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint);
    let mut exporter = builder.with_protocol(Protocol::HttpBinary).with_timeout(TIMEOUT).build()?;
    exporter.set_resource(&Resource::builder_empty().with_service_name("holdfast").build());
    actix_web::rt::spawn(hand_over(exporter, publishes));
    Ok(())
}

async fn hand_over(exporter: opentelemetry_otlp::SpanExporter, publishes: bool) {
    let (mut tick, mut lost) = (interval(EVERY), false);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let over = TRACED.take_over(publishes, SystemTime::now());
        if over.is_empty() {
            continue;
        }
        let handed = exporter.export(over.iter().flat_map(spans).collect()).await;
        match &handed {
            Err(error) if !lost => tracing::warn!(%error, "traces are lost: the collector does not take them"),
            Ok(()) if lost => tracing::info!("the collector takes traces again"),
            Ok(()) | Err(_) => {}
        }
        lost = handed.is_err();
    }
}

/// The request, and those of its parts of which beginning and end are known.
fn spans(trace: &Trace) -> Vec<SpanData> {
    let Some((answered, status)) = trace.answered else { return Vec::new() };
    let at = |moment| trace.at(moment);
    let parts = [
        (1, "shard turn", SpanKind::Internal, at(Moment::Read), at(Moment::Submitted)),
        (2, "journal commit", SpanKind::Internal, at(Moment::Submitted), at(Moment::Durable)),
        (3, "reply", SpanKind::Internal, at(Moment::Durable), Some(answered)),
        (PUBLISH, "kafka publish", SpanKind::Producer, at(Moment::Handed), at(Moment::Published)),
    ];
    let part = |(number, name, kind, from, to): (u8, &'static str, SpanKind, Option<SystemTime>, Option<SystemTime>)| {
        Some(span(trace, trace.span.child(number).id, Some(trace.span.id), name, kind, (from?, to?)))
    };
    let attributes = vec![
        KeyValue::new("http.request.method", trace.method),
        KeyValue::new("http.route", trace.route),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    let name = format!("{} {}", trace.method, trace.route);
    let request = span(trace, trace.span.id, trace.parent, name, SpanKind::Server, (trace.began, answered));
    let failed = if status >= 500 { Status::error("") } else { Status::Unset };
    let remote = trace.parent.is_some();
    let request = SpanData { attributes, status: failed, parent_span_is_remote: remote, ..request };
    std::iter::once(request).chain(parts.into_iter().filter_map(part)).collect()
}

fn span(
    trace: &Trace,
    id: u64,
    parent: Option<u64>,
    name: impl Into<Cow<'static, str>>,
    span_kind: SpanKind,
    (start_time, end_time): (SystemTime, SystemTime),
) -> SpanData {
    let id_of = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let trace_id = TraceId::from_bytes(trace.span.trace.to_be_bytes());
    SpanData {
        span_context: SpanContext::new(trace_id, id_of(id), TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent.map_or(SpanId::INVALID, id_of),
        parent_span_is_remote: false,
        span_kind,
        name: name.into(),
        start_time,
        // Wall clocks may go back.
        end_time: end_time.max(start_time),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("holdfast").build(),
    }
}
