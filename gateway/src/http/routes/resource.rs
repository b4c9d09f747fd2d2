//! How a row of the table of routes is given its handlers.
//!
//! Invariants: a handler is called only for what its row admits; a method without a handler is answered by what the table says; every
//! answer is counted under its row.

use super::admission::{self, Answer};
use crate::http::body::unread;
use crate::http::problem::{Code, Problem};
use crate::http::table::{self, Operation, Route};
use crate::http::timed::Timed;
use crate::telemetry::traces;
use actix_web::dev::{AppService, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse, fn_service};
use actix_web::guard::Guard;
use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::web;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource};
use std::future::{Future, ready};
use std::time::Instant;

/// Serves the row of a path.
pub fn resource(path: &str) -> Serving {
    let route = table::route(path);
    Serving {
        route,
        resource: web::resource(route.pattern()).default_service(answering(Timed::refusals(route.path), not_allowed)),
    }
}

/// A row that is being given its handlers.
pub struct Serving {
    route: &'static Route,
    resource: Resource,
}

impl Serving {
    /// Another row takes requests that `guard` does not let pass.
    pub fn guard(self, guard: impl Guard + 'static) -> Self {
        Self { resource: self.resource.guard(guard), ..self }
    }

    pub fn on<F, Args>(self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Answer,
    {
        let path = self.route.path;
        self.on_request(method, move |operation, request| {
            let route = (operation.method, path);
            let trace = operation.is_traced().then(|| traces::sampled(route, request.headers())).flatten();
            traces::followed(trace, admission::handle(operation, request, handler.clone()))
        })
    }

    /// For a handler that reads the request, and looks at its admission, by itself.
    pub fn on_request<F, R>(self, method: Method, handle: F) -> Self
    where
        F: Fn(&'static Operation, ServiceRequest) -> R + Clone + 'static,
        R: Future<Output = Result<ServiceResponse, actix_web::Error>> + 'static,
    {
        let path = self.route.path;
        let Some(operation) = self.route.operation(&method) else {
            unreachable!("{method} {path} is not in the table of routes")
        };
        let service = |method| {
            let (handle, timed) = (handle.clone(), Timed::of(method, path, operation.group));
            fn_service(move |request| {
                let (handle, timed, began) = (handle.clone(), timed.clone(), Instant::now());
                async move {
                    let answer = handle(operation, request).await;
                    timed.count(began, &answer);
                    answer
                }
            })
        };
        let head = (method == Method::GET).then(|| web::head().service(service("HEAD")));
        let resource = self.resource.route(web::method(method).service(service(operation.method)));
        let resource = head.into_iter().fold(resource, Resource::route);
        Self { resource, ..self }
    }
}

impl HttpServiceFactory for Serving {
    fn register(self, config: &mut AppService) {
        self.resource.register(config);
    }
}

/// What answers by the head of a request.
pub fn answering(
    timed: Timed,
    answer: fn(&HttpRequest) -> HttpResponse,
) -> impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = actix_web::Error, InitError = ()> {
    fn_service(move |request: ServiceRequest| {
        let began = Instant::now();
        let response = answer(request.request());
        let answer = Ok(unread::refuse(request, response));
        timed.count(began, &answer);
        ready(answer)
    })
}

/// For resources that exist under another method.
fn not_allowed(request: &HttpRequest) -> HttpResponse {
    let (path, method) = (request.path(), request.method());
    let problem = Problem::new(Code::MethodNotAllowed, format!("{path} does not take {method}"));
    let allow = table::allowed(request.match_info().as_str());
    let problem = allow.parse().map_or(problem.clone(), |allow| problem.with_header(ALLOW, allow));
    problem.answer_to(request)
}
