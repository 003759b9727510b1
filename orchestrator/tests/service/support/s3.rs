//! A service that speaks as much of the S3 protocol as snapshots need, over loopback.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const KEY_ID: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret-0123456789";
pub(crate) const BUCKET: &str = "bucket";

type Parts = BTreeMap<usize, Bytes>;

/// One bucket, in memory.
pub(crate) struct S3 {
    address: SocketAddr,
    state: Arc<Service>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Service {
    objects: Mutex<BTreeMap<String, Bytes>>,
    uploads: Mutex<HashMap<String, Parts>>,
    numbers: AtomicUsize,
    /// Parts wait while somebody holds it.
    gate: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    /// Requests of any kind.
    asked: AtomicUsize,
    /// Where it sends everybody, if it does.
    elsewhere: Mutex<Option<String>>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Service::default());
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(state.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, state, serving }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How a caller names it.
    pub(crate) fn storage(&self) -> Value {
        json!({
            "type": "s3", "bucket": BUCKET, "endpoint": self.endpoint(), "prefix": "team",
            "credentials": {"accessKeyId": KEY_ID, "secretAccessKey": SECRET},
        })
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.state.objects.lock().unwrap()
    }

    /// Uploads that were begun and neither finished nor taken back.
    pub(crate) fn open_uploads(&self) -> usize {
        self.state.uploads.lock().unwrap().len()
    }

    /// While it is held, no part is taken.
    pub(crate) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.state.gate.lock().await
    }

    /// From now on it redirects every request to another service.
    pub(crate) fn send_to(&self, other: &Self) {
        *self.state.elsewhere.lock().unwrap() = Some(other.endpoint());
    }

    /// Requests that came so far.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Parts that came so far, taken or not.
    pub(crate) fn parts(&self) -> usize {
        self.state.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(service): State<Arc<Service>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    service.asked.fetch_add(1, Ordering::SeqCst);
    let elsewhere = service.elsewhere.lock().unwrap().clone();
    if let Some(other) = elsewhere {
        let location = [("location", format!("{other}{uri}"))];
        return (StatusCode::TEMPORARY_REDIRECT, location).into_response();
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let credential = format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/");
    let is_signed = header("authorization").starts_with(&credential)
        && header("authorization").contains("/s3/aws4_request,SignedHeaders=host;")
        && header("x-amz-date").len() == 16
        && header("x-amz-content-sha256") == sha256(&body);
    if !is_signed {
        let refusal = "<Error><Code>InvalidAccessKeyId</Code></Error>";
        return (StatusCode::FORBIDDEN, refusal).into_response();
    }
    let bucket = format!("/{BUCKET}");
    let Some(rest) = uri.path().strip_prefix(&bucket) else {
        let refusal = "<Error><Code>NoSuchBucket</Code></Error>";
        return (StatusCode::NOT_FOUND, refusal).into_response();
    };
    let key = rest.trim_start_matches('/').to_owned();
    let query: HashMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    match (method.as_str(), query.get("uploadId")) {
        ("POST", None) => {
            let id = format!("up-{}", service.numbers.fetch_add(1, Ordering::SeqCst));
            service.uploads.lock().unwrap().insert(id.clone(), Parts::new());
            format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></X>").into_response()
        }
        ("PUT", Some(id)) => {
            service.waiting.fetch_add(1, Ordering::SeqCst);
            drop(service.gate.lock().await);
            let number = query["partNumber"].parse().unwrap();
            let mut uploads = service.uploads.lock().unwrap();
            let Some(parts) = uploads.get_mut(id) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            parts.insert(number, body);
            [("etag", format!("\"{number}\""))].into_response()
        }
        ("POST", Some(id)) => {
            let Some(parts) = service.uploads.lock().unwrap().remove(id) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let told = String::from_utf8(body.to_vec()).unwrap();
            let is_told = |number: &usize| told.contains(&format!("&quot;{number}&quot;"));
            assert!(parts.keys().all(is_told), "{told}");
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            service.objects.lock().unwrap().insert(key, whole.into());
            "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".into_response()
        }
        ("DELETE", Some(id)) => {
            service.uploads.lock().unwrap().remove(id);
            StatusCode::NO_CONTENT.into_response()
        }
        ("PUT", None) => {
            service.objects.lock().unwrap().insert(key, body);
            StatusCode::OK.into_response()
        }
        ("DELETE", None) => {
            service.objects.lock().unwrap().remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", None) if key.is_empty() => {
            let objects = service.objects.lock().unwrap();
            let names = objects.keys().filter(|name| name.starts_with(&query["prefix"]));
            let keys: String = names.map(|name| format!("<Key>{name}</Key>")).collect();
            format!("<ListBucketResult>{keys}</ListBucketResult>").into_response()
        }
        ("GET", None) => match service.objects.lock().unwrap().get(&key) {
            Some(object) => object.clone().into_response(),
            None => {
                let refusal = "<Error><Code>NoSuchKey</Code></Error>";
                (StatusCode::NOT_FOUND, refusal).into_response()
            }
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hex::encode(digest.as_ref())
}
