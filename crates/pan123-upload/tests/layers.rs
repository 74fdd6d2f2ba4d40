//! Layers around a transport that plays a recording back.

use std::{sync::Arc, time::Duration};

use pan123_transport::{Body, ErrorKind, Layer, Method, Request, Transport, stack};
use pan123_upload::layers::{Fault, Faults, RateLimit, Record, Recording, Replay, Trace};

fn exchange(path: &str, answer: &str) -> Recording {
    Recording {
        method: "POST".into(),
        path: path.into(),
        body_len: 3,
        status: Some(200),
        answer: answer.into(),
        error: None,
    }
}

fn request(path: &str) -> Request {
    let mut request = Request::new(Method::Post, format!("http://127.0.0.1:1{path}?client_secret=hush"))
        .header("Authorization", "Bearer hush");
    request.body = Body::from_bytes("abc");
    request
}

fn replay(answers: &[(&str, &str)]) -> Arc<dyn Transport> {
    Arc::new(Replay::new(answers.iter().map(|(path, answer)| exchange(path, answer))))
}

#[tokio::test]
async fn what_was_recorded_can_be_played_back_and_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("exchanges");
    let layers: [Arc<dyn Layer>; 2] = [Arc::new(Trace), Arc::new(Record::to(&file).unwrap())];
    let inner = replay(&[("/a", "1"), ("/a", "2"), ("/api/v1/access_token", "{\"accessToken\":\"hush\"}")]);
    let transport = stack(inner, &layers);
    for path in ["/a", "/a", "/api/v1/access_token", "/none"] {
        let _ = transport.send(request(path)).await;
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(text.lines().count(), 4);

    let again = Replay::from_file(&file).unwrap();
    for answer in ["1", "2"] {
        let request = request("/a");
        let meter = request.meter.clone();
        assert_eq!(again.send(request).await.unwrap().body, answer);
        assert_eq!(meter.bytes(), 3, "progress moves as with a real connection");
    }
    assert_eq!(again.send(request("/a")).await.unwrap_err().kind(), ErrorKind::Connect);
    assert_eq!(again.send(request("/none")).await.unwrap_err().kind(), ErrorKind::Interrupted);
    std::fs::write(&file, "{}\n").unwrap();
    let error = Replay::from_file(&file).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn faults_happen_as_planned() {
    let mut plan = vec![
        None,
        Some(Fault::Status(503)),
        Some(Fault::Delay(Duration::from_secs(9))),
        Some(Fault::LoseAnswer),
        Some(Fault::Refuse),
    ];
    let faults = Faults::new(move |_| plan.pop().flatten());
    let transport =
        stack(replay(&[("/a", "1"), ("/a", "2"), ("/a", "3")]), &[Arc::new(faults) as Arc<dyn Layer>]);
    let start = tokio::time::Instant::now();
    let send = || transport.send(request("/a"));
    assert_eq!(send().await.unwrap_err().kind(), ErrorKind::Connect);
    let lost = send().await.unwrap_err();
    assert_eq!((lost.kind(), lost.bytes_sent()), (ErrorKind::Interrupted, 3));
    assert_eq!(send().await.unwrap().body, "2", "the first answer was lost under way");
    assert_eq!(start.elapsed(), Duration::from_secs(9));
    assert_eq!(send().await.unwrap().status, 503);
    assert_eq!(send().await.unwrap().body, "3");
}

#[tokio::test]
async fn a_seed_repeats_its_faults() {
    let run = |seed| async move {
        let faults = Faults::random(seed, 0.5, &[Fault::Refuse]);
        let transport = stack(replay(&[("/a", ""); 64]), &[Arc::new(faults) as Arc<dyn Layer>]);
        let mut failed = vec![];
        for _ in 0..64 {
            failed.push(transport.send(request("/a")).await.is_err());
        }
        failed
    };
    let (first, again, other) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.contains(&true) && first.contains(&false));
}

#[tokio::test(start_paused = true)]
async fn requests_start_no_faster_than_the_limit() {
    let transport = stack(replay(&[("/a", ""); 5]), &[Arc::new(RateLimit::new(2.0)) as Arc<dyn Layer>]);
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        transport.send(request("/a")).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}
