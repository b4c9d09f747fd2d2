//! Schemas of the description as a test reads them: whoever answers may send no member that is not in them.
//!
//! The description leaves them open, as clients must: a later release may add members.

use serde_json::{Map, Value};

/// The schema, closed where it stands and in everything below it.
pub(super) fn closed(schema: &Value) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut members = below(members);
    if !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".to_owned(), false.into());
    }
    Value::Object(members)
}

/// The components: closed below, as each place that refers to them closes them itself.
pub(super) fn schemas(schemas: &Value) -> Value {
    let all = schemas.as_object().into_iter().flatten();
    all.map(|(name, schema)| (name.clone(), open(schema))).collect::<Map<_, _>>().into()
}

fn open(schema: &Value) -> Value {
    schema.as_object().map_or_else(|| schema.clone(), |members| Value::Object(below(members)))
}

fn below(members: &Map<String, Value>) -> Map<String, Value> {
    let changed = members.iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.iter().map(|(name, value)| (name.clone(), closed(value))).collect()
            }
            ("items", value) => closed(value),
            ("allOf" | "oneOf" | "anyOf", Value::Array(parts)) => parts.iter().map(open).collect(),
            (_, value) => value.clone(),
        };
        (name.clone(), value)
    });
    changed.collect()
}
