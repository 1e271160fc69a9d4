//! A refusal must reach clients that are still sending. If a connection is closed before all that was sent is read, the system
//! throws the answer away too, and the client sees a broken connection.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The rest of a refused body is read for so long, and up to so many bytes.
const TIME: Duration = Duration::from_secs(2);
const BYTES: usize = 64 << 20;

/// Reads the rest of a body that was refused before its end.
pub(super) async fn read_the_rest(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let sent = Arc::new(Mutex::new(body.into_data_stream()));
    let body = unfold(Arc::clone(&sent), async |sent| {
        let chunk = sent.lock().await.next().await?;
        Some((chunk, sent))
    });
    let response = next.run(Request::from_parts(head, Body::from_stream(body))).await;
    if !response.status().is_success() {
        let rest = async {
            let (mut sent, mut bytes) = (sent.lock().await, 0);
            while let Some(Ok(chunk)) = sent.next().await
                && bytes < BYTES
            {
                bytes += chunk.len();
            }
        };
        // If they send more than that, the answer is a matter of luck.
        let _ = timeout(TIME, rest).await;
    }
    response
}
