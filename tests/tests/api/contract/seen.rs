//! What the description names: every operation with each status of it, and each code of a problem.

use super::{Contract, Operation};
use crate::client::Answer;
use serde_json::Value;
use std::collections::BTreeSet;

/// An answer by its names: operation, status, and the code if it is a problem.
pub(super) type Named = (String, u16, String);

impl Contract {
    /// Every answer that is named.
    pub(super) fn named(&self) -> BTreeSet<Named> {
        self.operations().flat_map(|(_, _, operation)| self.named_of(&operation)).collect()
    }

    fn named_of(&self, operation: &Operation<'_>) -> Vec<Named> {
        let responses = operation.described["responses"].as_object().into_iter().flatten();
        let named = responses.flat_map(|(status, response)| {
            let status: u16 = status.parse().unwrap();
            codes(self.resolved(response)).into_iter().map(move |code| (operation.id.to_owned(), status, code))
        });
        named.collect()
    }
}

/// The codes of a response; an empty one for a body that is no problem, or none.
fn codes(response: &Value) -> Vec<String> {
    let contents = response["content"].as_object();
    let Some(contents) = contents else { return vec![String::new()] };
    let of = |(essence, content): (&String, &Value)| match essence.as_str() {
        "application/problem+json" => {
            let codes = content["schema"]["properties"]["code"]["enum"].as_array().unwrap();
            codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
        }
        _ => vec![String::new()],
    };
    contents.iter().flat_map(of).collect()
}

/// The names of an answer to this operation.
pub(super) fn name_of(operation: &str, answer: &Answer) -> Named {
    let code = if answer.is_problem() { answer.json()["code"].as_str().unwrap().to_owned() } else { String::new() };
    (operation.to_owned(), answer.status, code)
}
