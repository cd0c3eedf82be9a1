//! A service that answers as before is confirmed by one question; one that answers otherwise is looked at fully.

use super::*;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that knows one question, says how many connections it took, and can change its version.
async fn counting(address: &str) -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (taken, version) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(1)));
    let shared = (taken.clone(), version.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            shared.0.fetch_add(1, Ordering::SeqCst);
            let version = shared.1.clone();
            tokio::spawn(async move {
                let mut heard = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut heard).await {
                    if &heard[..count] == b"version\r\n" {
                        let answer = format!("VERSION {}\r\n", version.load(Ordering::SeqCst));
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
            });
        }
    });
    (port, taken, version)
}

#[tokio::test]
async fn a_service_that_answers_as_before_is_asked_one_question_and_any_other_answer_leads_to_a_full_look() {
    let address = "127.77.2.9";
    let (port, taken, version) = counting(address).await;
    let engine = Builtin::remembering(NonZeroU16::new(3).unwrap());
    let mut looks = Vec::new();
    for now in [1, 1, 2, 2, 2, 2] {
        version.store(now, Ordering::SeqCst);
        let before = taken.load(Ordering::SeqCst);
        let scanned = scan(&engine, admitted(address, &port.to_string(), "-sV")).await;
        let service = scanned.host(address).ports[0].service.clone().unwrap();
        assert_eq!((service.name.as_str(), service.version.as_str()), ("memcached", now.to_string().as_str()));
        let connections = taken.load(Ordering::SeqCst) - before;
        looks.push(if connections > 10 { "full" } else { "short" });
    }
    assert_eq!(looks, ["full", "short", "full", "short", "short", "full"]);
}
