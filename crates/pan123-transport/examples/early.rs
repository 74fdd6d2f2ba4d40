use std::{io::{Read, Write}, net::TcpListener, sync::Arc};
use bytes::Bytes;
use pan123_transport::*;

fn main() {
    let n: usize = std::env::args().nth(1).map_or(200, |a| a.parse().unwrap());
    let flavor = std::env::args().nth(2).unwrap_or_default();
    let read_kib: usize = std::env::args().nth(3).map_or(64, |a| a.parse().unwrap());
    let load: usize = std::env::args().nth(4).map_or(0, |a| a.parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || for s in listener.incoming() {
        let mut s = s.unwrap();
        std::thread::spawn(move || {
            let mut buf = vec![0; 65536];
            let mut got = 0;
            while got < read_kib << 10 { match s.read(&mut buf) { Ok(0) | Err(_) => return, Ok(n) => got += n } }
            let _ = s.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"code\":401,\"message\":\"no\"}\n");
            drop(s);
        });
    });
    let rt = if flavor == "current" { tokio::runtime::Builder::new_current_thread().enable_all().build() } else { tokio::runtime::Builder::new_multi_thread().enable_all().build() }.unwrap();
    let t = HttpTransport::new().unwrap();
    let body = Bytes::from(vec![7u8; 16 << 20]);
    rt.block_on(async {
        let sink = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink_addr = sink.local_addr().unwrap();
        std::thread::spawn(move || for s in sink.incoming() { std::thread::spawn(move || { let mut s = s.unwrap(); let mut b = vec![0; 1 << 20]; while s.read(&mut b).is_ok_and(|n| n > 0) {} }); });
        for _ in 0..load {
            let t = t.clone(); let body = body.clone();
            tokio::spawn(async move { loop { let r = Request { body: Body::framed("h".into(), Arc::new(body.clone()), 0, 16 << 20, "t".into()), clocks: Clocks { answer: std::time::Duration::from_millis(1), ..Clocks::default() }, ..Request::new(Method::Post, format!("http://{sink_addr}/")) }; let _ = t.send(r).await; } });
        }
        let mut ok = 0; let mut words = 0; let mut errs = std::collections::BTreeMap::new();
        for _ in 0..n {
            let mut r = Request::new(Method::Post, format!("http://{addr}/x"));
            r.body = Body::framed("head".into(), Arc::new(body.clone()), 0, 16 << 20, "tail".into());
            match t.send(r).await {
                Ok(a) => { assert_eq!(a.status, 401); ok += 1; words += usize::from(a.body.len() == 27); }
                Err(e) => *errs.entry(format!("{:?} {e} {:?}", e.kind(), std::error::Error::source(&e).map(|s| s.to_string()))).or_insert(0) += 1,
            }
        }
        println!("{ok}/{n} answers, {words} whole; {errs:?}");
    });
}
