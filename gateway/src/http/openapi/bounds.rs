//! How many entries the lists of requests may have.
//!
//! Invariant: every list of a request is here, and its bounds are those of `holdfast_engine::limits`.

use holdfast_engine::limits;
use utoipa::Modify;
use utoipa::openapi::{OpenApi, RefOr, Schema};

pub(super) struct Bounds;

/// Schema, list, fewest and most entries.
const LISTS: [(&str, &str, usize, usize); 5] = [
    ("OrderIn", "lines", 1, limits::MAX_LINES),
    ("ReservationIn", "lines", 1, limits::MAX_LINES),
    ("BatchItemIn", "lines", 1, limits::MAX_LINES),
    ("BatchIn", "items", 1, limits::MAX_BATCH),
    ("AvailabilityIn", "skus", 0, limits::MAX_QUERY),
];

impl Modify for Bounds {
    fn modify(&self, description: &mut OpenApi) {
        for (schema, list, fewest, most) in LISTS {
            bound(description, schema, list, fewest, most);
        }
    }
}

fn bound(description: &mut OpenApi, schema: &str, list: &str, fewest: usize, most: usize) -> Option<()> {
    let RefOr::T(Schema::Object(object)) = description.components.as_mut()?.schemas.get_mut(schema)? else { return None };
    let RefOr::T(Schema::Array(array)) = object.properties.get_mut(list)? else { return None };
    (array.min_items, array.max_items) = (Some(fewest), Some(most));
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn every_list_of_a_request_has_its_bounds() {
        let description: Value = serde_json::from_str(crate::http::openapi::json()).unwrap();
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let requests = schemas.iter().filter(|(name, _)| name.ends_with("In"));
        let lists = requests.flat_map(|(name, schema)| {
            let members = schema["properties"].as_object().unwrap().iter();
            members
                .filter(|(_, member)| member["type"] == "array")
                .map(move |(list, member)| (name.as_str(), list.as_str(), member))
        });
        let mut found = 0;
        for (name, list, member) in lists {
            let known = super::LISTS.iter().find(|(schema, member, ..)| (*schema, *member) == (name, list));
            let (.., fewest, most) = known.unwrap_or_else(|| panic!("{name}.{list} has no bounds"));
            assert_eq!([&member["minItems"], &member["maxItems"]], [*fewest, *most], "{name}.{list}");
            found += 1;
        }
        assert_eq!(found, super::LISTS.len());
    }
}
