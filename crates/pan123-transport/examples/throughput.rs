//! How fast slices go out over loopback, against writers that do nothing else.
//!
//! Each client runs in a process of its own, in turn, against one sink process that reads requests and
//! answers them. Prints MB/s, CPU seconds per GiB and peak resident memory of the client. Linux only.
//!
//! `cargo run --release -p pan123-transport --example throughput [ROUNDS [CONNECTIONS [GIB]]]`

use std::{
    error::Error,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use pan123_transport::{Body, Clocks, FileAt, HttpTransport, Method, Request, Transport};

const SLICE_LEN: u64 = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("sink") => sink(),
        Some("client") => client(&args[1], &args[2], &args[3], args[4].parse()?, args[5].parse()?),
        _ => compare(&args),
    }
}

fn compare(args: &[String]) -> Result<(), Box<dyn Error>> {
    let number = |i: usize, or: u64| args.get(i).map_or(Ok(or), |arg| arg.parse());
    let (rounds, connections, gib) = (number(0, 5)?, number(1, 8)?, number(2, 1)?);
    let slices = gib * (1 << 30) / SLICE_LEN;
    let mut file = tempfile::NamedTempFile::new()?;
    let block: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..gib * 1024 {
        file.write_all(&block)?;
    }
    let me = std::env::current_exe()?;
    let mut sink = Command::new(&me).arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut addr = String::new();
    BufReader::new(sink.stdout.take().ok_or("no stdout")?).read_line(&mut addr)?;
    let kinds = ["write-memory", "pread-write", "transport", "transport-current"];
    let mut figures = vec![Vec::new(); kinds.len()];
    for _ in 0..rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let path = file.path().to_str().ok_or("path")?;
            let out = Command::new(&me)
                .args(["client", kind, addr.trim(), path, &slices.to_string(), &connections.to_string()])
                .stderr(Stdio::inherit())
                .output()?;
            let line = String::from_utf8(out.stdout)?;
            let values: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
            figures.push(values);
        }
    }
    drop(sink.stdin.take());
    sink.wait()?;
    for (kind, figures) in kinds.iter().zip(&figures) {
        let median = |i: usize| {
            let mut column: Vec<f64> = figures.iter().map(|values| values[i]).collect();
            column.sort_by(f64::total_cmp);
            column[column.len() / 2]
        };
        println!("{kind:18} {:6.0} MB/s  {:.2} cpu s/GiB  {:5.1} MiB", median(0), median(1), median(2));
    }
    Ok(())
}

/// Reads requests, answers each, counts nothing. Ends with its standard input.
fn sink() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut buf = vec![0; 256 << 10];
    loop {
        let mut left = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                left = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let buffered = input.buffer().len().min(left);
        input.consume(buffered);
        left -= buffered;
        while left > 0 {
            let len = left.min(buf.len());
            match input.get_mut().read(&mut buf[..len])? {
                0 => return Ok(()),
                n => left -= n,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn client(kind: &str, addr: &str, path: &str, slices: u64, connections: u64) -> Result<(), Box<dyn Error>> {
    let next = Arc::new(AtomicU64::new(0));
    let file = Arc::new(FileAt::new(File::open(path)?));
    let start = Instant::now();
    match kind {
        "transport" | "transport-current" => {
            let mut builder = match kind {
                "transport" => tokio::runtime::Builder::new_multi_thread(),
                _ => tokio::runtime::Builder::new_current_thread(),
            };
            let runtime = builder.worker_threads(2).enable_all().build()?;
            let transport = HttpTransport::new()?;
            runtime.block_on(async {
                let tasks: Vec<_> = (0..connections)
                    .map(|_| {
                        let (next, file, transport) = (next.clone(), file.clone(), transport.clone());
                        let url = format!("http://{addr}/slice");
                        tokio::spawn(async move {
                            loop {
                                let slice = next.fetch_add(1, Ordering::Relaxed);
                                if slice >= slices {
                                    return;
                                }
                                let body = Body::framed(
                                    "prologue".into(),
                                    file.clone(),
                                    slice * SLICE_LEN,
                                    SLICE_LEN,
                                    "epilogue".into(),
                                );
                                let request = Request {
                                    body,
                                    clocks: Clocks::default(),
                                    ..Request::new(Method::Post, &*url)
                                };
                                match transport.send(request).await {
                                    Ok(answer) if answer.status == 200 => {}
                                    other => panic!("{other:?}"),
                                }
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await?;
                }
                Ok::<_, tokio::task::JoinError>(())
            })?;
        }
        _ => std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| raw(kind, addr, file.file(), &next, slices).expect("raw writer"));
            }
        }),
    }
    let secs = start.elapsed().as_secs_f64();
    let bytes = (slices * SLICE_LEN) as f64;
    let (cpu, peak) = usage()?;
    println!("{} {} {}", bytes / secs / 1e6, cpu / (bytes / f64::from(1 << 30)), peak);
    Ok(())
}

fn raw(kind: &str, addr: &str, file: &File, next: &AtomicU64, slices: u64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    let mut buf = vec![7; 256 << 10];
    loop {
        let slice = next.fetch_add(1, Ordering::Relaxed);
        if slice >= slices {
            return Ok(());
        }
        write!(stream, "POST /slice HTTP/1.1\r\nhost: x\r\ncontent-length: {SLICE_LEN}\r\n\r\n")?;
        let mut at = 0;
        while at < SLICE_LEN {
            if kind == "pread-write" {
                file.read_exact_at(&mut buf, slice * SLICE_LEN + at)?;
            }
            stream.write_all(&buf)?;
            at += buf.len() as u64;
        }
        let mut answer = [0; 38];
        stream.read_exact(&mut answer)?;
    }
}

/// CPU seconds and peak resident MiB of this process.
fn usage() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().ok_or("stat")?.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("VmHWM")?;
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok((ticks / 100.0, peak / 1024.0))
}
