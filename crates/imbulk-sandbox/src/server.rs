//! HTTP/1.1 on loopback.

use std::error::Error as _;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::answer;
use crate::commands::Command;
use crate::delivery::{Delivery, Payload};
use crate::refusal::Refusal;
use crate::service::{Call, CallHandle, Service};

/// 1000 friends with a remark, 32 groups and ten custom fields of full length take 7 MB.
const MAX_BODY: usize = 32 * 1024 * 1024;

const REPORT_PATH: &str = "/sandbox/report";

/// A call that ends without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Broken {
    #[error("reset by a fault rule")]
    Reset,
    #[error("closed by a fault rule")]
    Close,
}

/// Takes connections until the service stops.
pub(crate) async fn accept(service: Arc<Service>, listener: TcpListener) {
    loop {
        tokio::select! {
            () = service.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    service.tracker.spawn(converse(Arc::clone(&service), stream));
                }
                // Out of file descriptors, or the peer is gone already: let others finish first.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn converse(service: Arc<Service>, stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let respond = service_fn(|request| self::respond(Arc::clone(&service), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
    let end = tokio::select! {
        () = service.stop.cancelled() => return,
        end = &mut connection => end,
    };
    let broken = end.err().and_then(|error| {
        let cause = error.source()?;
        cause.downcast_ref::<Broken>().copied()
    });
    if broken == Some(Broken::Reset) {
        let stream = connection.into_parts().io.into_inner();
        // Closing with a linger time of zero sends RST; should it fail, the peer sees FIN.
        let _ = stream.set_zero_linger();
    }
}

async fn respond(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Payload>, Broken> {
    let path = request.uri().path();
    let Some(command) = Command::from_path(path) else {
        if path == REPORT_PATH && request.method() == Method::GET {
            return Ok(report(&service));
        }
        let refusal = service.unknown_path();
        return Ok(json(answer::refused(None, &refusal)));
    };
    let (head, body) = request.into_parts();
    let body = read(&head.method, body).await;
    let call = Call { command, query: head.uri.query().unwrap_or(""), body: body.as_deref().map_err(Clone::clone) };
    let admitted = match service.admit(&call) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(json(answer::refused(Some(command), &refusal))),
    };
    // A tokio task of its own: as at a real server, a caller that hangs up does not undo the call.
    let _waiter = Waiter { service: Arc::clone(&service), handle: admitted.handle() };
    let handling = service.tracker.spawn({
        let service = Arc::clone(&service);
        async move {
            tokio::select! {
                () = service.stop.cancelled() => Delivery::Close,
                delivery = service.process(admitted) => delivery,
            }
        }
    });
    let delivery = handling.await.unwrap_or(Delivery::Close);
    match delivery {
        Delivery::Reply(status, payload) => Ok(response(status, payload)),
        Delivery::Reset => Err(Broken::Reset),
        Delivery::Close => Err(Broken::Close),
        Delivery::Silence => std::future::pending().await,
    }
}

/// Dropped when the caller has its answer, and when it hangs up.
struct Waiter {
    service: Arc<Service>,
    handle: CallHandle,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.service.hang_up(self.handle);
    }
}

async fn read(method: &Method, body: Incoming) -> Result<Bytes, Refusal> {
    let read = Limited::new(body, MAX_BODY).collect().await;
    match read {
        Ok(body) if *method == Method::POST => Ok(body.to_bytes()),
        Ok(_) | Err(_) => Err(Refusal::new(60002)),
    }
}

fn report(service: &Service) -> Response<Payload> {
    // Counts and names always serialize.
    json(serde_json::to_vec_pretty(&service.report()).unwrap_or_default())
}

fn json(body: Vec<u8>) -> Response<Payload> {
    response(StatusCode::OK, Payload::whole(body))
}

fn response(status: StatusCode, payload: Payload) -> Response<Payload> {
    let content_type = HeaderValue::from_static(payload.content_type);
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if status.is_redirection() {
        // A path that the report counts as unknown, should anybody follow.
        let elsewhere = HeaderValue::from_static("/elsewhere");
        response.headers_mut().insert(LOCATION, elsewhere);
    }
    response
}
