use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::IntoResponse as _;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::body::{BodyReader, Patience};

const PATIENCE: Patience = Patience { still: Duration::from_secs(20), grace: Duration::from_secs(20), rate: None };

fn limits() -> Limits {
    Limits::of(&ApiConfig::new("", ""))
}

/// Counts the body with a [`BodyReader`], and answers its length or the kind of its failure.
async fn count(request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(&parts, Body::new(body), PATIENCE);
    let mut total = 0;
    loop {
        match body.next().await {
            Ok(Some(data)) => total += data.len(),
            Ok(None) => return total.to_string().into_response(),
            Err(error) => return error.kind().code().into_response(),
        }
    }
}

#[tokio::test]
async fn http1_keeps_the_connection_and_then_shuts_down_in_order() {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let limits = limits();
    let server = tokio::spawn(async move { serve_connection(near, &limits, shutdown, count).await });
    for body in ["", "abc"] {
        far.write_all(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await
            .unwrap();
        let mut answer = vec![0; 4096];
        let read = far.read(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(answer.get(..read).unwrap()).ends_with(&format!("\r\n\r\n{}", body.len())));
    }
    stop.cancel();
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    drop(far);
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_arrives_although_the_body_was_not_read() {
    let (near, mut far) = tokio::io::duplex(1024);
    let limits = limits();
    let server = tokio::spawn(async move {
        serve_connection(near, &limits, CancellationToken::new(), |_| async {
            http::StatusCode::FORBIDDEN.into_response()
        })
        .await;
    });
    far.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await.unwrap();
    far.write_all(&vec![0; 200_000]).await.unwrap();
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 403"));
    drop(far);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_dropped() {
    for begin in ["", "PRI * HTTP", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(begin.as_bytes()).await.unwrap();
        let limits = limits();
        tokio::time::timeout(Duration::from_mins(2), serve_connection(near, &limits, CancellationToken::new(), count))
            .await
            .unwrap_or_else(|_| panic!("{begin:?} held the connection"));
    }
}

#[tokio::test]
async fn a_cut_http1_upload_is_never_whole() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let (near, mut far) = tokio::io::duplex(1024);
        let whole = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&whole);
        let limits = limits();
        let server = tokio::spawn(async move {
            let service = move |request| {
                let seen = Arc::clone(&seen);
                async move {
                    let response = count(request).await;
                    let body = response
                        .into_body()
                        .collect()
                        .await
                        .map(http_body_util::Collected::to_bytes)
                        .unwrap_or_default();
                    seen.fetch_or(body != "incomplete", Ordering::AcqRel);
                    body.into_response()
                }
            };
            serve_connection(near, &limits, CancellationToken::new(), service).await;
        });
        far.write_all(format!("PUT / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n4\r\nabcd").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(far);
        server.await.unwrap();
        assert!(!whole.load(Ordering::Acquire), "{head}");
    }
}

type Pieces = StreamBody<stream::BoxStream<'static, std::io::Result<Frame<Bytes>>>>;

/// Sends a body over HTTP/2 and returns what the server counted.
async fn http2(pieces: Vec<std::io::Result<Frame<Bytes>>>) -> Option<Bytes> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let answers = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&answers);
    let server = tokio::spawn(async move {
        let service = move |request| {
            let heard = Arc::clone(&heard);
            async move {
                let body = count(request)
                    .await
                    .into_body()
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes)
                    .unwrap_or_default();
                *heard.lock().unwrap() = Some(body.clone());
                Response::new(Body::new(Full::new(body)))
            }
        };
        serve_connection(near, &limits(), CancellationToken::new(), service).await;
    });
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Pieces>(TokioExecutor::new(), TokioIo::new(far)).await.unwrap();
    let driver = tokio::spawn(connection);
    let slow = futures::StreamExt::then(stream::iter(pieces), |piece| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        piece
    });
    let request = Request::builder()
        .method("PUT")
        .uri("https://a/")
        .body(StreamBody::new(futures::StreamExt::boxed(slow)))
        .unwrap();
    let _ = client.send_request(request).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    driver.abort();
    server.await.unwrap();
    answers.lock().unwrap().take()
}

#[tokio::test]
async fn http2_bodies_end_by_end_stream_alone() {
    let piece = || Ok(Frame::data(Bytes::from_static(b"abcd")));
    assert_eq!(http2(vec![piece(), piece()]).await.as_deref(), Some(&b"8"[..]));
    let reset = http2(vec![piece(), Err(std::io::Error::other("the client gives up"))]).await;
    assert_ne!(reset.as_deref(), Some(&b"4"[..]), "a reset stream is no whole body");
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server = tokio::spawn(async move { serve_connection(near, &limits(), CancellationToken::new(), count).await });
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(far))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::builder().uri("https://a/").body(Full::default()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    tokio::time::timeout(Duration::from_secs(1000), server).await.unwrap().unwrap();
    driver.abort();
}

/// Asks once over HTTP/2 with a window of so many bytes for each answer, and gets frames of so many bytes.
async fn narrow(
    window: u32,
    frames: &'static [usize],
) -> (tokio::task::JoinHandle<()>, Response<Incoming>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let service = move |_| async move {
        let frames = frames.iter().map(|size| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; *size]))));
        Response::new(Body::new(StreamBody::new(stream::iter(frames))))
    };
    let server =
        tokio::spawn(async move { serve_connection(near, &limits(), CancellationToken::new(), service).await });
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake::<_, Full<Bytes>>(TokioIo::new(far))
        .await
        .unwrap();
    // It answers every PING, too.
    let driver = tokio::spawn(connection);
    let request = Request::builder().uri("https://a/").body(Full::default()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    tokio::spawn(async move {
        let _open = client;
        std::future::pending::<()>().await;
    });
    (server, answer, driver)
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_takes_no_answer_is_cut() {
    let (server, _answer, driver) = narrow(0, &[100]).await;
    let begun = Instant::now();
    tokio::time::timeout(Duration::from_mins(5), server).await.expect("the client held the connection").unwrap();
    assert!(begun.elapsed() >= limits().write_timeout);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_http2_client_is_not_cut() {
    // Each frame takes it several minutes.
    let (server, answer, driver) = narrow(32 * 1024, &[256 * 1024; 3]).await;
    let (mut body, mut taken) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        taken += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(limits().write_timeout / 3).await;
    }
    assert_eq!(taken, 3 * 256 * 1024);
    driver.abort();
    server.await.unwrap();
}

#[tokio::test]
async fn a_head_keeps_the_length_that_a_get_would_have() {
    let service = |_| async {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(http::header::CONTENT_LENGTH, http::HeaderValue::from(10));
        response
    };
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let server =
        tokio::spawn(async move { serve_connection(near, &limits(), CancellationToken::new(), service).await });
    far.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("content-length: 10\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    drop(far);
    server.await.unwrap();

    let (near, far) = tokio::io::duplex(64 * 1024);
    let server =
        tokio::spawn(async move { serve_connection(near, &limits(), CancellationToken::new(), service).await });
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(far))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::builder().method("HEAD").uri("https://a/").body(Full::default()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.headers().get("content-length").unwrap(), "10");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    driver.abort();
    server.await.unwrap();
}
