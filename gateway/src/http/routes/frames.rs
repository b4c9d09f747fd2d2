//! What the engine does now, and what to do about it.

use super::resource::resource;
use crate::adviser::{Advice, advise};
use crate::live::Frame;
use crate::state::App;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use serde::Serialize;
use utoipa::ToSchema;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/admin/v1/frame").on(Method::GET, newest));
}

/// The newest frame.
#[derive(Serialize, ToSchema)]
#[schema(as = FrameAndAdvice)]
pub struct FrameBody<'a> {
    /// Null in the first second after the start.
    #[schema(required = true)]
    frame: Option<&'a Frame>,
    /// What to do about the last minute: at least one sentence.
    advice: Vec<Advice>,
}

/// What the engine does: one frame a second, the same for all who ask, with advice in sentences.
#[utoipa::path(get, path = "/admin/v1/frame", tag = "admin", operation_id = "get_frame",
    responses((status = 200, description = "The newest frame, and advice.", body = FrameBody<'static>)))]
pub async fn newest(app: Data<App>) -> HttpResponse {
    let frames = app.frames.last_minute();
    let body = FrameBody { frame: frames.last().map(|frame| &**frame), advice: advise(&frames) };
    HttpResponse::Ok().json(body)
}
