//! Bodies that are JSON, and what their head says they are.
//!
//! Invariant: a body that cannot be read is answered with the place of its first mistake.

use super::Body;
use crate::http::problem::{Code, FieldError, Problem};
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// Reads a JSON body.
///
/// # Errors
/// `unsupported_media_type`, `invalid_request` with the place of the mistake, or whatever kept the body from coming.
pub fn json<T: DeserializeOwned>(request: &HttpRequest, body: Body) -> Result<T, Problem> {
    content_type(request, &[JSON])?;
    parsed(body)
}

/// Reads a JSON body whose media type was looked at.
///
/// # Errors
/// As [`json`].
pub fn parsed<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    parse(&body.0?)
}

/// Reads JSON.
///
/// # Errors
/// `invalid_request` with the place of the mistake.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // All of it is checked to be UTF-8 at once, rather than each string in it.
    let parsed = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str(text).ok());
    parsed.ok_or_else(|| explain::<T>(body))
}

/// As [`json`], for a body that may be left out.
///
/// # Errors
/// As [`json`].
pub fn json_or_default<T: DeserializeOwned + Default>(request: &HttpRequest, body: Body) -> Result<T, Problem> {
    match body {
        Body(Ok(body)) if body.is_empty() => Ok(T::default()),
        body => json(request, body),
    }
}

/// # Errors
/// `unsupported_media_type` if the request names another type, or a charset that is not UTF-8.
pub fn content_type(request: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let named = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if accepted.contains(&named) {
        return Ok(());
    }
    let (essence, parameters) = named.split_once(';').unwrap_or((named, ""));
    if !accepted.iter().any(|accepted| essence.trim().eq_ignore_ascii_case(accepted)) {
        let detail = format!("Content-Type must be {}", accepted[0]);
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    if parameters.split(';').filter_map(charset).all(|charset| is_utf8(&charset)) {
        Ok(())
    } else {
        Err(Problem::new(Code::UnsupportedMediaType, "the charset must be utf-8"))
    }
}

/// The charset that a parameter of a media type names, if it is that parameter. It may be a quoted string.
fn charset(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| {
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        quoted.map_or_else(|| value.to_owned(), |quoted| quoted.replace('\\', ""))
    })
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// One step of a JSON pointer. A name may have dots, as those of settings.
fn token(step: &Segment) -> String {
    match step {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key: name } | Segment::Enum { variant: name } => format!("/{}", escaped(name)),
        Segment::Unknown => "/?".to_owned(),
    }
}

/// A name as a JSON pointer has it.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Reads again, slowly, to say where the mistake is.
fn explain<T: DeserializeOwned>(body: &[u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => {
            let pointer: String = error.path().iter().map(token).collect();
            FieldError::new(pointer, error.inner().to_string())
        }
        Ok(_) => FieldError::new("", "there is more after the JSON value"),
    };
    Problem::invalid(vec![error])
}
